"""Brings a stopped server's data to where encamp's server has it: a file, of the host or of a container, copied."""

from __future__ import annotations

from typing import Mapping
from urllib.parse import quote

from encamp.resources.base import Failure
from encamp.resources.docker import api as docker
from encamp.resources.system import System
from encamp.shared.record import record
from roles.adopt.kinds import dump
from roles.adopt.kinds.dump import Database

BESIDE = ("", "-wal", "-shm")
#: With SQLite's backup interface, which reads what is still in the write-ahead log; checked before it gets its name.
_COPY = """import os, sqlite3, sys
source, target = sys.argv[1:]
os.umask(0o077)
quoted = source.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
old = sqlite3.connect(f"file:{quoted}?mode=rw", uri=True)
new = sqlite3.connect(target)
old.backup(new)
problem = new.execute("PRAGMA quick_check").fetchone()[0]
runs = [each.execute("SELECT count(*) FROM flow_run").fetchone()[0] for each in (old, new)]
new.close()
os.sync()
sys.exit(0 if problem == "ok" and runs[0] == runs[1] else f"{problem}; flow runs: {runs}")
"""


@record
class Target:
    """Where the data goes: a SQLite ``file``, or the ``database`` in a ``cluster`` of the host. ``owner`` uses it."""

    file: str
    database: str
    owner: str
    cluster: str = "main"


def move_data(host: System, data: Mapping[str, str], target: Target, folder: str) -> None:
    """Copy what ``data`` names (see :func:`takeover.data_of`) to ``target``. ``folder`` is root's, for temporary files.

    The source is only read. Raises Failure, with the target as it was.
    """
    if data["kind"] == "file":
        _copy_file(host, data["path"], target)
    elif data["kind"] == "file in container":
        staged = f"{folder}/from-container"
        host.remove(staged)
        host.mkdir(staged, "root", "root", 0o700)
        _copy_out(host, data["container"], data["path"], staged)
        _copy_file(host, f"{staged}/db", target)
        host.remove(staged)
    elif data["kind"] == "container":
        database = Database(target.database, target.cluster, target.owner)
        dump.restore(host, data, database, folder)


def _copy_out(host: System, container: str, path: str, folder: str) -> None:
    """Bring a database out of a stopped container, with the write-ahead log: what stands in it is in no other file.

    The engine is asked what is there, so that a copy that fails is not taken for a file that is missing.
    """
    for end in BESIDE:
        status, _ = docker.call("HEAD", f"/containers/{quote(container)}/archive?path={quote(path + end, safe='')}")
        if status == 200:
            host.run(["docker", "cp", f"{container}:{path}{end}", f"{folder}/db{end}"], timeout=3600)
        elif status != 404 or not end:
            raise Failure(
                f"container {container} has no file {path}"
                if status == 404
                else f"Docker answers {status} about {path}{end} in container {container}",
                "it was on a file system that ended with the container, such as tmpfs" if status == 404 else "",
                f"`docker cp {container}:{path}{end} -` shows what the engine says",
            )


def _copy_file(host: System, source: str, target: Target) -> None:
    _set_aside(host, target.file)
    part = f"{target.file}.adopting"
    for end in BESIDE:
        host.remove(part + end)
    host.progress(f"copying {source}")
    host.run(
        ["python3", "-I", "-c", _COPY, source, part],
        timeout=3600,
        cause="the file is damaged, or the disk is full",
        fix=f"`sqlite3 {source} 'PRAGMA integrity_check'` checks it",
    )
    host.set_owner(part, target.owner, "")
    host.rename(part, target.file)


def _set_aside(host: System, path: str) -> None:
    """A copy of an earlier takeover, which was undone or cut off, is kept under another name.

    The file itself goes last: what is cut off in between goes on under the same name, and no log is left that a new
    file would be read with.
    """
    stat = host.stat(path)
    if stat:
        for end in reversed(BESIDE):
            if host.stat(path + end):
                host.rename(path + end, f"{path}.before-{stat.mtime:.0f}{end}")
        host.note(f"{path} of an earlier takeover is kept as {path}.before-{stat.mtime:.0f}")
