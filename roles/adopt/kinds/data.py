"""Brings a stopped server's data to where encamp's server has it: a file copied, or a container's Postgres dumped."""

from __future__ import annotations

from typing import Mapping

from encamp.resources.base import Failure, Refused
from encamp.resources.system import System
from encamp.shared.record import record

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
#: Leaves out what older releases of psql and Postgres do not know, and what only a superuser may do.
_FILTER = r"""import re, sys
inside = False
for line in sys.stdin.buffer:
    if inside:
        inside = line != b"\\.\n"
    elif line.startswith(b"COPY ") and line.rstrip().endswith(b"FROM stdin;"):
        inside = True
    elif re.match(rb"\\(un)?restrict |SET transaction_timeout|COMMENT ON EXTENSION|CREATE EXTENSION", line):
        continue
    sys.stdout.buffer.write(line)
"""


@record
class Target:
    """Where the data goes: a SQLite ``file``, or the ``database`` of the host's own Postgres; ``owner`` uses it."""

    file: str
    database: str
    owner: str


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
        for end in BESIDE:
            host.query(["docker", "cp", f"{data['container']}:{data['path']}{end}", f"{staged}/db{end}"], timeout=600)
        if host.stat(f"{staged}/db") is None:
            raise Failure(f"container {data['container']} has no file {data['path']}")
        _copy_file(host, f"{staged}/db", target)
        host.remove(staged)
    elif data["kind"] == "container":
        _restore(host, data, target, folder)


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
    """A copy of an earlier takeover, which was undone, is kept under another name."""
    stat = host.stat(path)
    if stat:
        for end in BESIDE:
            if host.stat(path + end):
                host.rename(path + end, f"{path}.before-{stat.mtime:.0f}{end}")
        host.note(f"{path} of an earlier takeover is kept as {path}.before-{stat.mtime:.0f}")


def _restore(host: System, data: Mapping[str, str], target: Target, folder: str) -> None:
    """Dump the database in the container and restore it in one transaction, as the role that owns the new one."""
    psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", target.database]
    present = host.query([*psql, "-c", "SELECT to_regclass('alembic_version')"], as_user=target.owner)
    if present.ok and present.out.strip():
        raise Refused(
            f"the database {target.database} on this host is not empty",
            "an earlier server, or an earlier takeover, used it",
            f"rename it (ALTER DATABASE {target.database} RENAME TO ...) or remove it, then deploy again",
        )
    dump = f"{folder}/dump.sql"
    host.progress(f"dumping {data['database']} from container {data['container']}")
    words = ["docker", "exec", data["container"], "pg_dump", "--no-owner", "--no-acl"]
    script = 'set -o pipefail; umask 077; "$@" | python3 -I -c "$FILTER" > "$DUMP"'
    host.run(
        ["bash", "-c", script, "dump", *words, "-U", data["user"], "-d", data["database"]],
        env={"FILTER": _FILTER, "DUMP": dump},
        timeout=3600,
    )
    try:
        host.progress(f"restoring into {target.database}")
        text = 'exec runuser -u "$OWNER" -- "$@" < "$DUMP"'
        host.run(
            ["bash", "-c", text, "restore", *psql, "--single-transaction", "-o", "/dev/null"],
            env={"OWNER": target.owner, "DUMP": dump},
            timeout=3600,
        )
    finally:
        host.remove(dump)
