"""A folder of encamp's that goes, without what else is in it."""

from __future__ import annotations

from typing import Iterator, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.ownership import is_own_file
from encamp.resources.system import Reader, System

#: Files that a note names.
NAMED = 5


@kind
class OwnFilesAbsent(Resource):
    """A folder without files of encamp's, and gone if it has no others; a link at its path is removed.

    ``path``: absolute. Files that encamp did not write, and its copies of such files, are kept, and a note names them.
    """

    path: str

    def check(self, host: Reader) -> list[Change]:
        stat = host.stat(self.path)
        if stat is None or stat.kind == "file":
            return []
        if stat.kind == "symlink":
            return [Change("symlink", "present", "absent")]
        files = list(_files(host, self.path))
        kept = [path for path in files if not is_own_file(host, path)]
        if kept:
            more = f" and {len(kept) - NAMED} more" if len(kept) > NAMED else ""
            host.note(f"kept, encamp did not write them: {', '.join(kept[:NAMED])}{more}")
        return [] if kept and len(kept) == len(files) else [Change("directory", "present", "absent")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if changes[0].what == "symlink":
            host.remove(self.path)
            return
        own = [path for path in _files(host, self.path) if is_own_file(host, path)]
        for path in own:
            host.remove(path)
        _remove_empty(host, self.path)


def _files(host: Reader, folder: str) -> Iterator[str]:
    """All that is below a folder but folders."""
    for name in host.listdir(folder):
        path = f"{folder}/{name}"
        stat = host.stat(path)
        if stat is not None and stat.kind == "directory":
            yield from _files(host, path)
        elif stat is not None:
            yield path


def _remove_empty(host: System, folder: str) -> None:
    """Remove a folder, and those in it, as far as there is no file below."""
    for name in host.listdir(folder):
        stat = host.stat(f"{folder}/{name}")
        if stat is not None and stat.kind == "directory":
            _remove_empty(host, f"{folder}/{name}")
    if not host.listdir(folder):
        host.remove(folder)
