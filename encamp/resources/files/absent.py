"""A path with nothing there."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System


@kind
class Absent(Resource):
    """A path with nothing there: a file, a link or a directory with all that is in it is removed.

    ``path``: absolute. A link is removed, what it points to is left.
    """

    path: str

    def check(self, host: Reader) -> list[Change]:
        found = host.stat(self.path)
        return [Change(found.kind, "present", "absent")] if found else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.remove(self.path)
