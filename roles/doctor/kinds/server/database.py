"""Asks a server's database with the server's own Python, user, URL and driver: what that sees is what the server sees.

The script only reads. SQLite is opened without making files beside it, where the server is down.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

from encamp.resources.system import Reader
from encamp.shared.secret import Secret
from roles.doctor.kinds.server.fields import ServerFields
from roles.prefect.kinds.container import with_settings

TIMEOUT = 20.0
SCRIPT = r'''
import asyncio, glob, json, os, re, sys
from urllib.parse import unquote, urlsplit, urlunsplit, parse_qsl, urlencode
found = {}
AGE = "extract(epoch FROM now() - %s)::int"
# Who waits for a lock, and who holds it. Of other roles' sessions Postgres shows neither query nor state.
WAITING = f"""
SELECT left(w.query, 100) AS query, {AGE % "w.query_start"} AS seconds, h.pid, h.usename AS user,
       h.application_name AS program, coalesce(host(h.client_addr), 'this host') AS client, h.state,
       {AGE % "h.xact_start"} AS held, left(h.query, 100) AS holding
FROM pg_stat_activity w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b(pid)
JOIN pg_stat_activity h ON h.pid = b.pid
WHERE w.datname = current_database() AND w.wait_event_type = 'Lock' AND now() - w.query_start > interval '5 s'
"""
WORKING = f"""
SELECT left(query, 100) AS query, {AGE % "query_start"} AS seconds FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND now() - query_start > interval '10 s'
AND wait_event_type IS DISTINCT FROM 'Lock' AND query ~* '^ *(alter|create|drop|reindex|update|insert|delete|with) '
"""
INVALID = """
SELECT i.indexrelid::regclass::text AS name FROM pg_index i WHERE NOT i.indisvalid
AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
"""

def heads(flavour):
    """The revisions that this release knows, and the one it ends at, from its migrations."""
    import importlib.util
    root = os.path.dirname(importlib.util.find_spec("prefect").origin)
    for place in ("server/database/_migrations", "server/database/migrations", "orion/database/migrations"):
        files = glob.glob(os.path.join(root, place, "versions", flavour, "*.py"))
        if files:
            texts = [open(name, encoding="utf-8").read() for name in files]
            line = r"(?m)^%s(?:\s*:[^=]*)?\s*=\s*[\"']([0-9a-f]+)"
            pick = lambda key: [revision for text in texts for revision in re.findall(line % key, text)]
            known, below = set(pick("revision")), set(pick("down_revision"))
            return sorted(known), sorted(known - below)
    return [], []

async def postgres(url):
    import asyncpg
    parts = urlsplit(url)
    query = [("sslmode" if name == "ssl" else name, value) for name, value in parse_qsl(parts.query)]
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query), ""))
    tls = [value for name, value in os.environ.items() if name.endswith("_CONNECT_ARGS_TLS_ENABLED")]
    options = {"ssl": True} if tls and tls[0].lower() == "true" else {}
    connection = await asyncpg.connect(dsn, timeout=8, command_timeout=8, statement_cache_size=0, **options)
    try:
        one = connection.fetchval
        found["place"] = "%s on %s" % (await one("SELECT current_database()"), await one("SELECT version()"))
        found["size"] = await one("SELECT pg_database_size(current_database())")
        found["used"] = await one("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        found["max"] = int(await one("SELECT current_setting('max_connections')"))
        found["reserved"] = int(await one("SELECT current_setting('superuser_reserved_connections')"))
        for key, query in (("waiting", WAITING), ("working", WORKING), ("invalid", INVALID)):
            try:
                found[key] = [dict(row) for row in await connection.fetch(query)]
            except asyncpg.PostgresError:  # a release of Postgres without one of these views
                pass
        if await one("SELECT to_regclass('alembic_version') IS NOT NULL"):
            found["revision"] = await one("SELECT version_num FROM alembic_version")
        try:  # last, and not for long: the table may be locked, or so large that this takes its time
            found["first"] = await one("SELECT extract(epoch FROM min(start_time))::float FROM flow_run", timeout=2)
        except (asyncpg.PostgresError, asyncio.TimeoutError):
            pass
    finally:
        await connection.close()

def sqlite(path):
    import sqlite3
    found["place"] = path
    if not os.path.exists(path):
        found["error"] = "unable to open database file: %s is not there" % path
        return
    found["size"] = sum(os.path.getsize(path + end) for end in ("", "-wal") if os.path.exists(path + end))
    found["writable"] = os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)
    how = "mode=ro" if os.path.exists(path + "-wal") else "immutable=1"
    name = path.replace("%", "%25").replace("?", "%3f")
    connection = sqlite3.connect("file:%s?%s" % (name, how), uri=True, timeout=3)
    try:
        if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()[0]:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            found["revision"] = row and row[0]
    finally:
        connection.close()

url = sys.stdin.read().strip()
scheme = url.partition("://")[0]
try:
    if scheme.startswith("sqlite"):
        found["known"], found["heads"] = heads("sqlite")
        sqlite(unquote(url.partition(":///")[2].partition("?")[0]))
    else:
        found["known"], found["heads"] = heads("postgresql")
        asyncio.run(postgres(url))
except ValueError:  # its text would repeat pieces of the password
    found["error"] = "the connection URL cannot be read: percent-encode the special characters of its password"
except Exception as error:
    found["error"] = "%s: %s" % (type(error).__name__, error)
print(json.dumps(found))
'''


def ask(host: Reader, kind: ServerFields, environment: Mapping[str, str], url: str) -> Mapping[str, Any]:
    """What the database told: place, size, revision, connections; or ``error``. Empty where there is no URL to ask."""
    if not url:
        return {}
    secret, words = Secret(_filled(url, environment)), ["-I", "-B", "-c", SCRIPT]
    if kind.container:
        result = host.query(with_settings(kind.container, ["python", *words]), secret, timeout=TIMEOUT)
    else:
        given: dict[str, Secret] = {name: Secret(value) for name, value in environment.items() if name != "PATH"}
        result = host.query([f"{kind.link}/bin/python", *words], secret, given, kind.user, TIMEOUT)
    try:
        found: dict[str, Any] = json.loads(result.out.strip().splitlines()[-1])
        return found
    except (ValueError, IndexError):
        return {"error": result.tail or f"no response within {TIMEOUT:.0f} s"}


def _filled(url: str, environment: Mapping[str, str]) -> str:
    """The URL with ``${PREFECT_...}`` filled in, as Prefect does."""
    for name, value in environment.items():
        url = url.replace("${" + name + "}", value)
    return url
