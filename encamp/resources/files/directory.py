"""A directory with exact owner, group and mode."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.files.file import attribute_changes
from encamp.resources.system import Reader, System


@kind
class Directory(Resource):
    """A directory with exact owner, group and mode. Its contents stay unchanged."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755

    def check(self, host: Reader) -> list[Change]:
        stat = host.stat(self.path)
        if stat is None:
            return [Change("directory", "absent", "present")]
        if stat.kind != "directory":
            raise Refused(f"{self.path} is a {stat.kind}, not a directory", fix="move it away, then deploy again")
        return attribute_changes(stat, self.owner, self.group, self.mode)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.mkdir(self.path, self.owner, self.group, self.mode)
