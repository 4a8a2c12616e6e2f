"""Images of hosts that encamp has deployed: their names, and their end. copies.py makes and starts them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from debian_images import recipe_tag
from layout import CHECKOUT, HOSTS
from shell import run, succeeds

REPOSITORY = "encamp-lab/deployed"
#: Of the checkout that an image was made from.
LABEL = "encamp-lab-checkout"
MADE_FROM = ("encamp", "roles", "templates", "fabfile.py", "tests/lab/inventory/hosts.yml", "tests/lab/copies.py")


@dataclass(frozen=True)
class Deployed:
    """A kind of host that encamp has deployed.

    ``settings``: its own in the inventory. ``commands``: the arguments of ``fab -H HOST`` that make it.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    commands: tuple[str, ...] = ("deploy",)

    @property
    def repository(self) -> str:
        """The name of its images, without their tags."""
        return f"{REPOSITORY}-{self.name}"

    def image(self, host: str) -> str:
        """The name of its image for a host: another one whenever something that it is made from changes."""
        digest = hashlib.sha256(repr((recipe_tag(), HOSTS[host].image, self)).encode())
        for path in _sources():
            digest.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes() + b"\0")
        return f"{self.repository}:{digest.hexdigest()[:12]}"


POSTGRES = Deployed("postgres")
SQLITE = Deployed("sqlite", {"database": "sqlite"})
#: A laptop that has Prefect, and no profile of encamp's.
CLIENT = Deployed("client", commands=("configure-client --mode local --install", "configure-client --undo"))


def remove_images(repository: str = f"{REPOSITORY}-*", but: str = "") -> None:
    """Remove the images that this checkout made, where no host runs from them."""
    filters = (f"reference={repository}", f"label={LABEL}={CHECKOUT}")
    options = [word for one in filters for word in ("--filter", one)]
    for image in run(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", *options]).split():
        if image != but:
            succeeds(["docker", "image", "rm", image])


def _sources() -> Iterator[Path]:
    """All files that a deploy depends on, in a fixed order."""
    for name in MADE_FROM:
        place = CHECKOUT / name
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (path for path in files if path.is_file() and "__pycache__" not in path.parts)
