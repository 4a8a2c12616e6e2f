"""A symbolic link that points where it should."""

from __future__ import annotations

import dataclasses
from typing import Sequence

from encamp.resources.base import Change, Reader, Refused, Resource, System


@dataclasses.dataclass(frozen=True)
class Symlink(Resource):
    """A symbolic link that points at ``target``, switched atomically. A file or directory in its place is refused."""

    path: str
    target: str = ""

    def check(self, host: Reader) -> list[Change]:
        found = host.stat(self.path)
        if found is None:
            return [Change("link", "absent", self.target)]
        if found.kind != "symlink":
            raise Refused(f"{self.path} is a {found.kind}, not a link", fix="move it out of the way, then deploy")
        return [] if found.target == self.target else [Change("target", found.target, self.target)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.symlink(self.path, self.target)
