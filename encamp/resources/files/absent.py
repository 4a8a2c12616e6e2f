"""A path that does not exist."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System


@kind
class Absent(Resource):
    """A path that does not exist: a file, a link or a directory with its contents is removed.

    ``path``: absolute. Of a link only the link is removed, not its target.
    """

    path: str

    def check(self, host: Reader) -> list[Change]:
        stat = host.stat(self.path)
        return [Change(stat.kind, "present", "absent")] if stat else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.remove(self.path)
