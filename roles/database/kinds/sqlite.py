"""A SQLite file as a Prefect server needs it."""

from __future__ import annotations

import os
from typing import Optional, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind, octal
from encamp.resources.system import Reader, System
from roles.prefect.kinds.memory import note_once

MODE = 0o600
#: Bytes 18 and 19 of a database's header: 2 for write-ahead logging (sqlite.org/fileformat2.html).
_VERSIONS = slice(18, 20)
_WAL = b"\x02\x02"
_MAGIC = b"SQLite format 3\0"
NETWORK_FILE_SYSTEMS = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "fuse.sshfs",
    "glusterfs",
    "fuse.glusterfs",
    "ceph",
    "9p",
)
#: Writes nothing but the journal mode; a new file gets just the header.
_SCRIPT = """import os, sqlite3, sys
os.umask(0o077)
connection = sqlite3.connect(sys.argv[1], timeout=20)
mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
connection.close()
sys.exit(0 if mode == "wal" else f"the journal mode stays {mode}")
"""


@kind
class SqliteDatabase(Resource):
    """A SQLite database in WAL mode that belongs to its service alone: owner, group, mode 0600.

    ``path`` is the file, made empty where there is none; what SQLite keeps beside it (-wal, -shm) is treated alike.
    ``owner`` and ``group`` run the service. ``python`` sets the journal mode, as that user. ``warning`` is a note of
    each deploy; empty: none. A network file system is refused: its clients share no memory, which WAL needs.
    """

    path: str
    owner: str
    group: str
    python: str = "python3"
    warning: str = ""

    def check(self, host: Reader) -> list[Change]:
        self._refuse_network(host)
        if self.warning:
            note_once(self, host, self.warning)
        if host.stat(self.path) is None:
            return [Change("database", "absent", "present, WAL")]
        changes = [change for path in self._files(host) for change in self._attributes(host, path)]
        mode = _journal(self.path)
        return changes + ([Change("journal mode", mode, "wal")] if mode != "wal" else [])

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        for path in self._files(host):
            host.set_owner(path, self.owner, self.group)
            host.set_mode(path, MODE)
        if {change.what for change in changes} & {"database", "journal mode"}:
            host.run(
                [self.python, "-I", "-c", _SCRIPT, self.path],
                as_user=self.owner,
                cause="a program holds a lock on the file, or it is damaged",
                fix=f"stop that program; `sqlite3 {self.path} 'PRAGMA integrity_check'` checks it for damage",
            )

    def _files(self, host: Reader) -> list[str]:
        """The database, and what SQLite keeps beside it while it is open."""
        return [path for path in (self.path, f"{self.path}-wal", f"{self.path}-shm") if host.stat(path) is not None]

    def _attributes(self, host: Reader, path: str) -> list[Change]:
        found = host.stat(path)
        if found is None:
            return []
        if found.kind != "file":
            raise Refused(f"{path} is a {found.kind}, not a file", fix="move it away, then deploy again")
        changes = []
        if (found.owner, found.group) != (self.owner, self.group):
            changes.append(Change(f"owner of {path}", f"{found.owner}:{found.group}", f"{self.owner}:{self.group}"))
        if found.mode != MODE:
            changes.append(Change(f"mode of {path}", octal(found.mode), octal(MODE)))
        return changes

    def _refuse_network(self, host: Reader) -> None:
        kind_of = _file_system(host, os.path.dirname(self.path))
        if kind_of in NETWORK_FILE_SYSTEMS:
            raise Refused(
                f"{os.path.dirname(self.path)} is on a network file system ({kind_of}), where SQLite loses data",
                "write-ahead logging needs shared memory",
                "move that directory to a local disk, or set database: postgres",
            )


def _journal(path: str) -> str:
    """The journal mode that a file's header names; ``empty`` for one that has none yet. Raises Failure."""
    try:
        with open(path, "rb") as stream:  # the first bytes only: such a file may hold gigabytes
            head = stream.read(_VERSIONS.stop)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    if not head:
        return "empty"
    if not head.startswith(_MAGIC):
        raise Refused(f"{path} is not a SQLite database", "another program wrote it, or it is damaged", "move it away")
    return "wal" if head[_VERSIONS] == _WAL else "rollback journal"


def _file_system(host: Reader, directory: str) -> Optional[str]:
    """The type of the file system that holds ``directory``."""
    best, found = "", None
    for line in (host.read("/proc/mounts") or b"").decode("utf-8", "replace").splitlines():
        words = line.split(" ")
        place = words[1].replace("\\040", " ").rstrip("/") if len(words) > 2 else None
        if place is not None and f"{directory}/".startswith(f"{place}/") and len(place) >= len(best):
            best, found = place, words[2]
    return found
