"""A directory with exact owner, group and mode."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.files.file import attribute_changes
from encamp.resources.system import Reader, System


@kind
class Directory(Resource):
    """A directory with exact owner, group and mode. What is in it is left alone."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755

    def check(self, host: Reader) -> list[Change]:
        found = host.stat(self.path)
        if found is None:
            return [Change("directory", "absent", "present")]
        if found.kind != "directory":
            raise Refused(f"{self.path} is a {found.kind}, not a directory", fix="move it out of the way, then deploy")
        return attribute_changes(found, self.owner, self.group, self.mode)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.mkdir(self.path, self.owner, self.group, self.mode)
