# Managed by encamp: changes made here are undone by the next deploy.
"""Postgres: dumps that are consistent with the counted rows, and databases loaded from them."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from typing import Any, Dict, List, Sequence

from .job import Failed, Job

SOCKET = "/var/run/postgresql"
SUPERUSER = "postgres"
DATA = "data"
#: Where the programs of a server of one major version are, by distribution.
PROGRAMS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/usr/bin")
#: search_path: functions and operators of the database's owner are never called, least of all by the superuser.
OPTIONS = "-c search_path=pg_catalog -c jit=off"
TABLES = "SELECT json_agg(tablename ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"
#: Settings whose values are lists, and stand as they are in ALTER DATABASE ... SET.
LISTS = (
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
)


class Cluster:
    """The cluster of a job, as its superuser over the socket."""

    def __init__(self, job: Job) -> None:
        self.job = job
        try:
            self._account = pwd.getpwnam(SUPERUSER)
        except KeyError:
            raise Failed(f"this host has no user {SUPERUSER}: no Postgres of the distribution's") from None
        self._programs = "/usr/bin"
        number = int(self.value("SHOW server_version_num"))
        self.version = str(self.value("SHOW server_version")).split()[0]
        major = str(number // 10000)
        places = [place.format(major) for place in PROGRAMS]
        self._programs = next((place for place in places if os.path.exists(f"{place}/pg_dump")), places[-1])

    def argv(self, program: str, database: str, user: str = SUPERUSER) -> List[str]:
        """A program of the server's own version, connected to a database."""
        place = f"host='{SOCKET}' port={self.job.port} user='{_escaped(user)}'"
        target = f"{place} dbname='{_escaped(database)}' connect_timeout=20"
        return [f"{self._programs}/{program}", "-d", target]

    def child(self, user: str = "") -> Dict[str, Any]:
        """How programs are started, with nothing of this process's: as the superuser's account, or as ``user`` with its
        group, which may read dumps."""
        account = pwd.getpwnam(user) if user else self._account
        groups = [*os.getgrouplist(account.pw_name, account.pw_gid), self._account.pw_gid]
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/", "PGOPTIONS": OPTIONS}
        return {
            "user": account.pw_uid,
            "group": account.pw_gid,
            "extra_groups": groups,
            "env": environment,
            "cwd": "/",
            "umask": 0o077,
        }

    def run(self, argv: Sequence[str], stdin: str = "", fds: Sequence[int] = (), user: str = "") -> str:
        """Run a program to its end, as of :meth:`child`; its output. Raises Failed with what it said."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            argv, input=stdin, capture_output=True, encoding="utf-8", errors="replace", pass_fds=fds, **self.child(user)
        )
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            first = next((line for line in said if "error" in line.lower()), said[-1] if said else "no output")
            raise Failed(f"{os.path.basename(argv[0])} exited {done.returncode}: {first}", "\n".join(said[-20:]))
        return done.stdout

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Run statements. Raises Failed."""
        return self.run([*self.argv("psql", database), "-XAtqw", "-v", "ON_ERROR_STOP=1"], statements).strip()

    def value(self, query: str, database: str = "postgres") -> Any:
        """The text of a query's one value."""
        return self.sql(query, database)

    def exists(self, database: str) -> bool:
        """Whether there is such a database."""
        return bool(self.sql(f"SELECT 1 FROM pg_database WHERE datname = {literal(database)}"))

    def counts(self, database: str) -> Dict[str, int]:
        """The rows of every table."""
        found = json.loads(self.value(TABLES, database) or "[]") or []
        return dict(json.loads(self.value(count_query(found), database))) if found else {}

    def head(self, database: str) -> str:
        """The schema's revision; empty where there is none."""
        there = self.value("SELECT to_regclass('public.alembic_version') IS NOT NULL", database) == "t"
        return str(self.value("SELECT version_num FROM public.alembic_version", database)) if there else ""

    def size(self, database: str) -> int:
        """Bytes on the disk."""
        return int(self.value(f"SELECT pg_database_size({literal(database)})"))


def dump(job: Job, partial: str) -> Dict[str, Any]:
    """Dump the database into a folder, and count its rows in the same snapshot; what the manifest says of it.

    Raises Failed.
    """
    cluster = Cluster(job)
    if not cluster.exists(job.database):
        raise Failed(f"there is no database {job.database} in the cluster on port {job.port}")
    account = pwd.getpwnam(SUPERUSER)
    data = os.path.join(partial, DATA)
    os.mkdir(data, 0o700)
    os.chown(data, account.pw_uid, account.pw_gid)
    found: Dict[str, Any] = {"database": job.database, "owner": job.owner, "server": cluster.version}
    found["database_size"] = cluster.size(job.database)
    with _Snapshot(cluster, job.database) as snapshot:
        found["head"] = snapshot.ask("SELECT version_num FROM public.alembic_version")
        tables = json.loads(snapshot.ask(TABLES) or "[]") or []
        found["counts"] = json.loads(snapshot.ask(count_query(tables)))
        handle = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # The backup's folder is root's alone: the superuser reaches only this one folder, by its handle.
            words = ["-Fd", "-j", str(jobs()), "-Z", "1", "-f", f"/proc/self/fd/{handle}", "--no-password"]
            words += [f"--snapshot={snapshot.id}", f"--role={job.owner}", "--lock-wait-timeout=120s"]
            cluster.run([*cluster.argv("pg_dump", job.database), *words], fds=[handle])
        finally:
            os.close(handle)
    _hand_over(data, account.pw_gid)
    return found


def load(job: Job, folder: str, database: str, jobs_at_once: int) -> List[str]:
    """Make ``database`` of a dump, owned by the job's role; notes about what could not be put back.

    Raises Failed; what was made is dropped then.
    """
    cluster = Cluster(job)
    if cluster.exists(database):
        raise Failed(f"there is a database {database} already: choose another name")
    present = job.database if cluster.exists(job.database) else "template0"
    locale = cluster.sql(
        "SELECT format('ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_encoding_to_char(encoding), datcollate, datctype) "
        f"FROM pg_database WHERE datname = {literal(present)}"
    )
    cluster.sql(f"CREATE DATABASE {identifier(database)} OWNER {identifier(job.owner)} TEMPLATE template0 {locale}")
    handle = os.open(os.path.join(folder, DATA), os.O_RDONLY | os.O_DIRECTORY)
    try:
        source = f"/proc/self/fd/{handle}"
        words = ["-Fd", "--exit-on-error", "--no-owner", "--no-privileges", "-j", str(jobs_at_once), source]
        if job.user == job.owner:
            # Constraints of a dump may call its owner's functions, which can become again who logged in (RESET ROLE).
            # So the owner logs in, over the socket, as its server does.
            cluster.run([*cluster.argv("pg_restore", database, job.owner), *words], fds=[handle], user=job.user)
        else:
            cluster.run([*cluster.argv("pg_restore", database), f"--role={job.owner}", *words], fds=[handle])
        notes = _grants(cluster, database, handle)
        cluster.sql("ANALYZE", database)
        return notes
    except BaseException:
        drop(job, database)
        raise
    finally:
        os.close(handle)


def drop(job: Job, database: str) -> None:
    """Drop a database that this program made. Sessions in it end: a killed rehearsal may have left its server."""
    cluster = Cluster(job)
    if cluster.exists(database):
        name = identifier(database)
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {literal(database)};"
        cluster.sql(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false; {end} DROP DATABASE {name};")


def left_over(job: Job, stem: str) -> List[str]:
    """Databases whose names are ``stem`` and a time: what killed runs left."""
    cluster, start = Cluster(job), literal(stem)
    names = cluster.sql(
        f"SELECT datname FROM pg_database WHERE left(datname, length({start})) = {start} "
        f"AND substr(datname, length({start}) + 1) ~ '^[0-9]{{14}}$'"
    )
    return names.splitlines()


def swap(job: Job, database: str, aside: str) -> bool:
    """Give ``database`` the job's name, and what has it now the name ``aside``: both or neither. Raises Failed.

    The new one gets the grants, the connection limit and the settings of the old one. Returns whether there was one.
    """
    cluster = Cluster(job)
    now, new, old = identifier(job.database), identifier(database), identifier(aside)
    moves = [f"ALTER DATABASE {new} RENAME TO {now};"]
    there = cluster.exists(job.database)
    if there:
        cluster.sql(_properties(cluster, job.database, database))
        moves.insert(0, f"ALTER DATABASE {now} RENAME TO {old};")
    try:
        cluster.sql("BEGIN;" + "".join(moves) + "COMMIT;")
    except Failed as failed:
        sessions = cluster.sql(
            "SELECT string_agg(format('%s (%s, pid %s)', usename, coalesce(nullif(application_name, ''), "
            f"client_addr::text, 'local'), pid), ', ') FROM pg_stat_activity WHERE datname = {literal(job.database)}"
        )
        if sessions:
            raise Failed(f"the database {job.database} is in use by others: {sessions}", failed.detail) from None
        raise
    return there


def sessions_of(job: Job, database: str) -> int:
    """How many sessions are in a database."""
    return int(Cluster(job).value(f"SELECT count(*) FROM pg_stat_activity WHERE datname = {literal(database)}") or 0)


def _properties(cluster: Cluster, old: str, new: str) -> str:
    """Statements that give ``new`` what belongs to a database itself, and not to what is in it."""
    name = identifier(new)
    revoke = literal(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;")
    grants = cluster.sql(f"""SELECT CASE WHEN datacl IS NOT NULL THEN {revoke} || (
  SELECT coalesce(string_agg(format('GRANT %s ON DATABASE %s TO %s%s;', privilege_type, {literal(name)},
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), ''), '') FROM aclexplode(datacl)) ELSE '' END
  || format('ALTER DATABASE %s CONNECTION LIMIT %s;', {literal(name)}, datconnlimit)
FROM pg_database WHERE datname = {literal(old)}""")
    lists = ", ".join(map(literal, LISTS))
    settings = cluster.sql(f"""SELECT coalesce(string_agg(format('ALTER %s %s SET %I TO %s;',
  CASE setrole WHEN 0 THEN 'DATABASE' ELSE format('ROLE %I IN DATABASE', pg_get_userbyid(setrole)) END, {literal(name)},
  split_part(word, '=', 1), CASE WHEN split_part(word, '=', 1) IN ({lists}) THEN substr(word, strpos(word, '=') + 1)
  ELSE quote_literal(substr(word, strpos(word, '=') + 1)) END), ''), '')
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(setconfig) word
WHERE datname = {literal(old)}""")
    return f"{grants}{settings}"


def _grants(cluster: Cluster, database: str, handle: int) -> List[str]:
    """Put back who may use which table. A role that this cluster lacks is a note: a bare host has none of them yet."""
    source = f"/proc/self/fd/{handle}"
    listing = cluster.run([*cluster.argv("pg_restore", database)[:1], "-l", source], fds=[handle])
    lines = [line for line in listing.splitlines() if " ACL " in line and not line.startswith(";")]
    if not lines:
        return []
    memory = os.memfd_create("grants")
    try:
        os.write(memory, "\n".join(lines).encode() + b"\n")
        os.fchmod(memory, 0o644)
        argv = [*cluster.argv("pg_restore", database), "-Fd", "--no-owner", "-L", f"/proc/self/fd/{memory}", source]
        cluster.run(argv, fds=[handle, memory])
        return []
    except Failed as failed:
        return [f"not all grants could be put back: {failed.reason}"]
    finally:
        os.close(memory)


class _Snapshot:
    """A session that holds one view of the database for all that reads it."""

    def __init__(self, cluster: Cluster, database: str) -> None:
        argv = [*cluster.argv("psql", database), "-XAtqw", "-v", "ON_ERROR_STOP=1"]
        pipe = subprocess.PIPE
        self._psql = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8", **cluster.child())
        self.id = ""

    def __enter__(self) -> _Snapshot:
        self.id = self.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot()")
        return self

    def __exit__(self, *error: object) -> None:
        assert self._psql.stdin and self._psql.stdout and self._psql.stderr
        for stream in (self._psql.stdin, self._psql.stdout, self._psql.stderr):
            stream.close()
        self._psql.terminate()
        self._psql.wait()

    def ask(self, query: str) -> str:
        """The one line that a query answers. Raises Failed."""
        assert self._psql.stdin and self._psql.stdout and self._psql.stderr
        try:
            self._psql.stdin.write(f"{query};\n")
            self._psql.stdin.flush()
        except BrokenPipeError:
            pass  # it says why below
        line: str = self._psql.stdout.readline()
        if not line:
            said = self._psql.stderr.read().strip()
            raise Failed(f"Postgres does not answer: {said.splitlines()[0] if said else 'psql ended'}", said)
        return line.strip()


def _hand_over(data: str, group: int) -> None:
    """Make the dump root's; the superuser's group may read it, through a handle that root opens."""
    for name in os.listdir(data):
        handle = os.open(os.path.join(data, name), os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchown(handle, 0, group)
            os.fchmod(handle, 0o640)
        finally:
            os.close(handle)
    os.chown(data, 0, group)
    os.chmod(data, 0o750)


def hand_over_again(folder: str) -> None:
    """The same for a backup that came from elsewhere: a copy of one has other owners."""
    data = os.path.join(folder, DATA)
    if os.path.isdir(data):
        _hand_over(data, pwd.getpwnam(SUPERUSER).pw_gid)


def jobs() -> int:
    """Processes that dump or load at once: half of the cores."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


def count_query(tables: Sequence[str]) -> str:
    """A query that counts the rows of some tables, as one JSON object on one line."""
    one = [f"SELECT {literal(name)} AS name, count(*) AS rows FROM public.{identifier(name)}" for name in tables]
    return (
        f"SELECT json_object_agg(name, rows)::jsonb FROM ({' UNION ALL '.join(one)}) AS counted"
        if one
        else "SELECT '{}'"
    )


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string literal."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
