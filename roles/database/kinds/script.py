"""What a probe runs with the Python of Prefect's environment: it talks to Postgres as the server is going to.

The text is a program of its own. It gets its orders as JSON on standard input, so that no password stands in an
argument list, and prints one line of JSON: how far it came, the error that ended it, and what it found out. What it
creates it rolls back.
"""

from __future__ import annotations

SCRIPT = r'''
import asyncio, json, socket, ssl, sys

def described(error):
    return {"type": type(error).__name__, "code": getattr(error, "sqlstate", "") or "", "text": str(error)}

def reach(order):
    """Resolve the name and open the port: the driver's own errors mix up the two."""
    host, port = order["host"], order["port"]
    if not host or host.startswith("/"):
        return
    stage[0] = "name"
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    stage[0] = "port"
    for at, (family, kind, protocol, _, place) in enumerate(places):
        try:
            with socket.socket(family, kind, protocol) as tried:
                tried.settimeout(order["timeout"])
                tried.connect(place)
                return
        except OSError:
            if at == len(places) - 1:
                raise

def security(order):
    """TLS as Prefect sets it up."""
    mode = order["tls"]
    if mode != "verify":
        return {"off": False, "require": "require"}.get(mode)
    context = ssl.create_default_context(cafile=order["ca_file"] or None)
    if order["cert_file"]:
        context.load_cert_chain(order["cert_file"], order["key_file"])
    context.check_hostname = order["check_hostname"]
    return context

FACTS = """SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'max', current_setting('max_connections')::int,
  'reserved', current_setting('superuser_reserved_connections')::int
              + coalesce(current_setting('reserved_connections', true), '0')::int,
  'others', (SELECT count(*) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND usename IS DISTINCT FROM current_user),
  'role_limit', (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
  'database_limit', (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
  'encrypted', (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()),
  'encoding', getdatabaseencoding(),
  'schema', current_schema(),
  'tables', to_regclass('alembic_version') IS NOT NULL,
  'trigrams', EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm'),
  'foreign_owner', (SELECT tableowner FROM pg_tables WHERE schemaname = current_schema()
     AND tablename IN ('alembic_version', 'flow_run') AND NOT pg_has_role(tableowner, 'USAGE') LIMIT 1))"""

async def ask(order, asyncpg):
    stage[0] = "login"
    options = {} if security(order) is None else {"ssl": security(order)}
    connection = await asyncpg.connect(
        order["dsn"], timeout=order["timeout"], command_timeout=order["timeout"], statement_cache_size=0, **options)
    try:
        stage[0] = "facts"
        facts.update(json.loads(await connection.fetchval(FACTS)))
        transaction = connection.transaction()
        await transaction.start()
        try:
            stage[0] = "schema"
            await connection.execute("CREATE TABLE encamp_probe ()")
            stage[0] = "extension"
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            stage[0] = "done"
        finally:
            await transaction.rollback()
    finally:
        connection.terminate()

stage, facts, error = ["driver"], {}, None
order = json.load(sys.stdin)
try:
    import asyncpg
    reach(order)
    asyncio.run(ask(order, asyncpg))
except Exception as caught:
    error = described(caught)
print(json.dumps({"stage": stage[0], "facts": facts, "error": error}))
'''
