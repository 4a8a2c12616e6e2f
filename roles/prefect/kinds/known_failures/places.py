"""What a server says that may not read or write a place on its host."""

from __future__ import annotations

from roles.prefect.kinds.known_failures.known import Known

PLACES = (
    Known(
        r"Read-only file system.*ui_build|ui_build.*Read-only file system"
        r"|Failed to create .*UI static directory|Read-only file system.*ui",
        "Prefect writes its UI assets at start, and may not write to the directory for them",
        "set PREFECT_UI_STATIC_DIRECTORY to a directory in the unit's StateDirectory",
    ),
    Known(
        r"no such table: _alembic_tmp_",
        "SQLite had no writable directory for temporary files during a migration",
        "set PrivateTmp=yes in the unit",
    ),
    Known(
        r"database is locked",
        "SQLite allows one writer at a time, and this one gave up waiting",
        "it passes with fewer runs at once; if it does not, use Postgres (database: postgres)",
    ),
    Known(
        r"database disk image is malformed|file is not a database",
        "the SQLite file is damaged, or is no SQLite file",
        "`sqlite3 FILE 'PRAGMA integrity_check'` shows which; restore a backup",
    ),
    Known(
        r"unable to open database file",
        "SQLite cannot open its file: a directory on the way to it is missing, or is closed to the service's user",
        "`namei -l FILE` shows each directory with owner and mode",
    ),
    Known(
        r"attempt to write a readonly database|readonly database",
        "the service's user may not write the SQLite file or its directory, or their file system is read-only",
        "`namei -l FILE` shows owners and modes; if the user may write there, `findmnt -T FILE` shows the file system",
    ),
    Known(
        r"No space left on device|database or disk is full",
        "the disk is full, or has no inodes left",
        "`df --output=target,avail,iavail` shows which; free some, then deploy again",
    ),
    Known(
        r"Read-only file system|\[Errno 30\]",
        "the unit's sandbox makes read-only what Prefect writes to; or the file system is read-only, as after a disk "
        "error",
        "`findmnt -T PATH` on the host shows which: with `rw` it is the sandbox, so move PREFECT_HOME and the "
        "UI directory "
        "to the unit's StateDirectory",
    ),
    Known(
        r"Failed to set up mount namespacing:.*(?:Permission denied|Operation not permitted)",
        "this host does not let units have mount namespaces, which their sandbox needs: usual in a container (LXC)",
        "`systemd-detect-virt -c` names the container; allow it outside (LXC and Proxmox: nesting=1; LXD: "
        "security.nesting=true), and restart it; or set mount_namespaces: false for this host",
    ),
    Known(
        r"Failed to set up mount namespacing:.*No such file or directory",
        "a path that the unit's sandbox names does not exist",
        "create that path; the lines below name it",
    ),
    Known(
        r"Permission denied|\[Errno 13\]",
        "a file or directory is not readable or writable for the service's user",
        "find it in the lines below, and correct its owner",
    ),
)
