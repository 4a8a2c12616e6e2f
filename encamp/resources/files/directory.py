"""A directory with exact owner, group and mode."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind, octal
from encamp.resources.files.file import attribute_changes
from encamp.resources.system import Reader, Stat, System

OTHERS_ENTER = 0o001


@kind
class Directory(Resource):
    """A directory with exact owner, group and mode. Its contents stay unchanged.

    One with contents that belongs to another account is refused: those files would stay that account's. ``shared``: a
    directory that the host's owner may have made; an existing one keeps its owner and mode, and is refused only if
    other accounts cannot enter it.
    """

    path: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755
    shared: bool = False

    def refuse(self, host: Reader) -> None:
        stat = host.stat(self.path)
        if stat is None:
            return
        self._require_directory(stat)
        if self.shared:
            self._require_way_in(stat)
        elif stat.owner not in (self.owner, "root") and self.owner != "root" and host.listdir(self.path):
            raise Refused(
                f"{self.path} belongs to {stat.owner}, not to {self.owner}",
                "something else made it, or the account of the service was changed",
                f"chown -R {self.owner}:{self.group} {self.path} if its files are for {self.owner}; else move it away",
            )

    def check(self, host: Reader) -> list[Change]:
        stat = host.stat(self.path)
        if stat is None:
            return [Change("directory", "absent", "present")]
        self._require_directory(stat)
        if self.shared:
            self._require_way_in(stat)
            return []
        return attribute_changes(stat, self.owner, self.group, self.mode)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.mkdir(self.path, self.owner, self.group, self.mode)

    def _require_directory(self, stat: Stat) -> None:
        if stat.kind != "directory":
            raise Refused(f"{self.path} is a {stat.kind}, not a directory", fix="move it away, then deploy again")

    def _require_way_in(self, stat: Stat) -> None:
        if not stat.mode & OTHERS_ENTER:
            raise Refused(
                f"{self.path} is closed to other accounts: it belongs to {stat.owner}, mode {octal(stat.mode)}",
                "encamp's services must enter it, and encamp does not change a directory that others may use, too",
                f"let others enter it (chmod o+x {self.path}), or move it away",
            )
