#!/usr/bin/env python3
"""Container images for lab hosts that have Docker but no registry: Prefect of the default release, and Postgres.

    containers.py             build what is missing and print the archive's path

Both are built once on this machine and kept: as images of its Docker, and as one archive (what ``docker save`` writes)
in .lab/, which is what an operator of a host without a registry would carry there.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from debian_images import base_image, image_exists
from layout import CHECKOUT, DOCKER_SH, STATE
from locks import locked
from preparing import ca_bundle_source
from shell import LabError, retry, run, say

RECIPE = Path(__file__).resolve().parent / "containers"
UV = CHECKOUT / ".venv" / "bin" / "uv"
LOCK = max((CHECKOUT / "roles" / "locks").glob("prefect-3.*.txt"))


@dataclass(frozen=True)
class Images:
    """The two images, and the archive that holds both."""

    prefect: str
    postgres: str
    archive: Path


def ensure() -> Images:
    """Build images and archive unless they are there. Raises LabError."""
    run([str(DOCKER_SH)], show=True)
    with locked(STATE / "containers.lock"):
        tag = recipe_tag()
        images = Images(f"encamp-lab/prefect:{tag}", f"encamp-lab/postgres:{tag}", STATE / f"containers-{tag}.tar.gz")
        for target, image in (("postgres", images.postgres), ("prefect", images.prefect)):
            if not image_exists(image):
                say(f"building the container image {target}; this is done once")
                retry(lambda target=target, image=image: _build(target, image), f"building {target}")  # type: ignore[misc]
        if not images.archive.exists():
            _save(images)
        return images


def recipe_tag() -> str:
    """A tag that changes with the recipe, so that a changed recipe gets built."""
    digest = hashlib.sha256(base_image("bookworm").encode())
    for file in [*sorted(RECIPE.iterdir()), LOCK]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _build(target: str, image: str) -> None:
    with tempfile.TemporaryDirectory(prefix="encamp-lab-") as folder:
        context = Path(folder) / "context"
        shutil.copytree(RECIPE, context)
        shutil.copy(LOCK, context / "lock.txt")
        shutil.copy(UV, context / "uv")
        shutil.copy(ca_bundle_source(), context / "ca.pem")
        arguments = {"BASE": base_image("bookworm"), "INDEX": _index()}
        arguments |= {name: os.environ[name] for name in ("http_proxy", "https_proxy") if name in os.environ}
        options = [option for name, value in arguments.items() for option in ("--build-arg", f"{name}={value}")]
        command = ["docker", "build", "--quiet", "--network", "host", "--target", target, *options]
        run([*command, "--tag", image, str(context)])


def _index() -> str:
    """The package index of this machine's own pip or uv."""
    program = "from encamp.locking.package_index import controller_index; print(controller_index().plain_url)"
    return run([str(UV.with_name("python")), "-c", program]).strip()


def _save(images: Images) -> None:
    """Write the archive beside its place, then rename: a killed run leaves no half of one."""
    say(f"writing {images.archive.name}")
    for old in STATE.glob("containers-*"):
        old.unlink()
    new = images.archive.with_suffix(".new")
    with subprocess.Popen(["docker", "save", images.prefect, images.postgres], stdout=subprocess.PIPE) as save:
        assert save.stdout
        with gzip.open(new, "wb", compresslevel=1) as file:
            shutil.copyfileobj(save.stdout, file, 1 << 20)
    if save.returncode != 0:
        raise LabError(f"docker save exited {save.returncode}")
    new.rename(images.archive)


if __name__ == "__main__":
    try:
        print(ensure().archive)
    except LabError as error:
        say(str(error))
        sys.exit(1)
