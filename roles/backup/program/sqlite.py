# Managed by encamp: changes made here are undone by the next deploy.
"""SQLite: copies by its backup API, checked, while the server goes on."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import sqlite3
import stat
from typing import Any, Dict, Mapping
from urllib.parse import quote

from .job import Failed, Job

FILE = "prefect.db"
PAGES = 1024
ENDINGS = ("", "-wal", "-shm")


def dump(job: Job, partial: str) -> Dict[str, Any]:
    """Copy the database into a folder; what the manifest says of it. Raises Failed."""
    if not os.path.exists(job.path):
        raise Failed(f"there is no database {job.path}")
    target = os.path.join(partial, FILE)
    try:
        # Opened by root: SQLite gives files beside a database the database's owner.
        before = _open_files()
        source = sqlite3.connect(f"file:{quote(job.path)}?mode=ro", uri=True, timeout=60)
        try:
            _require_own(job, before)
        except BaseException:
            source.close()
            raise
        copy = sqlite3.connect(target)
        try:
            source.backup(copy, pages=PAGES, sleep=0.01)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        finally:
            copy.close()
            source.close()
    except sqlite3.Error as error:
        raise Failed(f"{job.path} cannot be copied: {error}") from None
    os.chmod(target, 0o600)
    found = describe(target)
    return {"database": job.path, "owner": job.user, "server": sqlite3.sqlite_version, **found}


def _require_own(job: Job, before: Mapping[int, os.stat_result]) -> None:
    """Raises Failed unless what was opened since ``before`` is the service's own.

    The service can put a link in its place: to another instance's database, which a restore would hand to it.
    """
    owner = pwd.getpwnam(job.user).pw_uid
    for number, found in _open_files().items():
        if number not in before and stat.S_ISREG(found.st_mode) and found.st_uid != owner:
            raise Failed(f"{job.path} leads to a file of user {found.st_uid}, not of {job.user}: it is not copied")


def _open_files() -> Dict[int, os.stat_result]:
    """This process's open files by their descriptors."""
    found = {}
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # that of the listing itself
            found[number] = os.fstat(number)
    return found


def describe(path: str) -> Dict[str, Any]:
    """Revision, rows and size of a database file that is whole. Raises Failed."""
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=60)
        try:
            verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if verdict != "ok":
                raise Failed(f"{path} is damaged: {verdict}")
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
            ).fetchall()
            quoted = {name: '"' + name.replace('"', '""') + '"' for (name,) in tables}
            counts = {
                name: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for name, table in sorted(quoted.items())
            }
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Failed(f"{path} cannot be read: {error}") from None
    return {"head": row[0] if row else "", "counts": counts, "database_size": os.path.getsize(path)}


def size(path: str) -> int:
    """Bytes of the database and its log."""
    return sum(os.path.getsize(path + end) for end in ENDINGS[:2] if os.path.exists(path + end))


def load(job: Job, folder: str, path: str) -> None:
    """Make the file ``path`` of a backup, for the service's account alone. Raises Failed."""
    if os.path.lexists(path):
        raise Failed(f"there is a file {path} already: choose another name")
    source = os.path.join(folder, FILE)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(source, "rb") as whole, open(handle, "wb") as target:
            shutil.copyfileobj(whole, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
            shutil.chown(target.fileno(), job.user, job.group)
    except BaseException:
        drop(path)
        raise


def drop(path: str) -> None:
    """Remove a file that this program made, and what SQLite made beside it."""
    for end in ENDINGS:
        if os.path.lexists(path + end):
            os.remove(path + end)


def swap(job: Job, path: str, aside: str) -> bool:
    """Give the file ``path`` the job's name, and what has it now the name ``aside``. The server must be stopped.

    Returns whether there was a file.
    """
    there = os.path.exists(job.path)
    if there:
        if os.path.lexists(aside):
            raise Failed(f"there is a file {aside} already")
        try:
            connection = sqlite3.connect(job.path, timeout=20)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        except sqlite3.Error:
            pass  # damaged, perhaps the very reason for this: its log is kept beside it
        for end in ENDINGS[1:]:
            if os.path.exists(job.path + end):
                os.rename(job.path + end, aside + end)
        os.link(job.path, aside)  # so that there is a database under the name at each moment
    os.rename(path, job.path)
    return there
