"""The images of the hosts: built once, from official ones or from packages."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from layout import DOCKER_SH, HERE, Image
from locks import locked
from shell import retry, run, say, succeeds

IMAGES = HERE / "images"
SUITES = {"bullseye": "debian:11", "bookworm": "debian:12", "trixie": "debian:13"}
MIRROR = "http://deb.debian.org"
PULL_SECONDS = 60


def recipe_tag() -> str:
    """A tag that changes with the recipe of the images, so that a changed recipe gets built."""
    digest = hashlib.sha256()
    for file in sorted(path for path in IMAGES.rglob("*") if path.is_file()):
        digest.update(file.relative_to(IMAGES).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update(repr([_sources(suite) for suite in SUITES]).encode())
    return digest.hexdigest()[:12]


def ensure_images(tag: str, images: Iterable[Image]) -> None:
    """Build the images that are not there yet; the plain host first, the others build on it.

    One at a time on the machine: test runs beside each other want the same ones.
    """
    wanted = sorted(images, key=lambda image: (image.target != "host", image.name))
    if all(image_exists(f"{image.name}:{tag}") for image in wanted):
        return
    with locked(Path(tempfile.gettempdir()) / f"encamp-lab-images-{os.getuid()}.lock"):
        for image in wanted:
            if not image_exists(f"{image.name}:{tag}"):
                build_image(tag, image)


def image_exists(image: str) -> bool:
    """Whether the engine has an image."""
    return succeeds(["docker", "image", "inspect", image])


def build_image(tag: str, image: Image) -> None:
    """Build one target of the Dockerfile; a dropped connection gets further attempts."""
    say(f"building the image {image.name}; this is done once")
    arguments = {"BASE": image.real_base or base_image(image.suite)}
    arguments |= {name: os.environ[name] for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ}
    options = [option for name, value in arguments.items() for option in ("--build-arg", f"{name}={value}")]
    recipe = ["--file", str(IMAGES / "rhel.Dockerfile")] if image.real_base else ["--target", image.target]
    command = ["docker", "build", "--quiet", "--network", "host", *recipe, *options]
    command += ["--tag", f"{image.name}:{tag}", str(IMAGES)]
    retry(lambda: run(command), f"building {image.name}")


def base_image(suite: str) -> str:
    """A bare Debian: the official image, or one made from the Debian mirror where no registry answers."""
    official = SUITES[suite]
    if image_exists(official):
        return official
    digest = hashlib.sha256(repr(_sources(suite)).encode()).hexdigest()[:12]
    image = f"encamp-lab/debian-{suite}:{digest}"
    if image_exists(image):
        return image
    if succeeds(["docker", "pull", "--quiet", official], timeout=PULL_SECONDS):
        return official
    say(f"no registry has {official}; making it with mmdebstrap")
    retry(lambda: bootstrap_image(suite, image), "mmdebstrap")
    return image


def bootstrap_image(suite: str, image: str) -> None:
    """Make a Debian image out of packages."""
    run([str(DOCKER_SH), "need", "mmdebstrap", "mmdebstrap", "debian-archive-keyring"], show=True)
    with tempfile.TemporaryDirectory(prefix="encamp-lab-") as folder:
        tarball = Path(folder) / "debian.tar"
        options = ["--variant=minbase", "--include=ca-certificates", "--quiet"]
        options += ['--aptopt=Acquire::Retries "5"', '--aptopt=Acquire::Check-Valid-Until "false"']
        run(["mmdebstrap", *options, suite, str(tarball), *_sources(suite)])
        run(["docker", "import", str(tarball), image])


def _sources(suite: str) -> list[str]:
    """The lines of a Debian release's sources.list."""
    return [
        f"deb {MIRROR}/debian {suite} main",
        f"deb {MIRROR}/debian {suite}-updates main",
        f"deb {MIRROR}/debian-security {suite}-security main",
    ]
