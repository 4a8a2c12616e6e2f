"""What a hand-made server's own Python is asked: its release, its effective settings, and what its database holds.

A program of its own, for Python 3.7 and later and every release of Prefect since 2.0. It reads only, and prints one
line of JSON, which holds secrets: what runs it keeps them to itself.
"""

from __future__ import annotations

SCRIPT = r'''
import asyncio, json, os, sqlite3, sys, warnings
warnings.simplefilter("ignore")
import prefect, prefect.context, prefect.settings

TABLES = {"flows": "flow", "flow runs": "flow_run", "deployments": "deployment", "variables": "variable",
          "blocks": "block_document", "work pools": "work_pool", "automations": "automation"}

def plain(value):
    value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return "" if value is None else str(value)

def setting(*names):
    """The effective value of the first of some settings that this release has."""
    for name in names:
        try:
            return plain(getattr(prefect.settings, name).value())
        except (AttributeError, ImportError):
            continue
    return ""

def given():
    """What is set, by whatever way the release reads: environment, profile, .env, prefect.toml, pyproject.toml."""
    current = prefect.settings.get_current_settings()
    options = {"exclude_unset": True}
    try:
        found = current.to_environment_variables(include_secrets=True, **options)
    except TypeError:
        found = current.to_environment_variables(**options)
    return {name: plain(value) for name, value in found.items() if value is not None}

def of_sqlite(path):
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    database = sqlite3.connect("file:" + quoted + "?mode=ro", uri=True, timeout=10)
    counts = {}
    for what, table in TABLES.items():
        try:
            counts[what] = database.execute("SELECT count(*) FROM " + table).fetchone()[0]
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
    return counts

async def of_postgres(url):
    import asyncpg
    scheme, _, rest = url.partition("://")
    connection = await asyncpg.connect("postgresql://" + rest, timeout=10, command_timeout=30, statement_cache_size=0)
    counts = {}
    try:
        for what, table in TABLES.items():
            if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
                counts[what] = await connection.fetchval("SELECT count(*) FROM " + table)
    finally:
        connection.terminate()
    return counts

url = setting("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL",
              "PREFECT_ORION_DATABASE_CONNECTION_URL")
answer = {
    "release": prefect.__version__.split("+")[0],
    "python": "%d.%d" % sys.version_info[:2],
    "home": setting("PREFECT_HOME"),
    "database_url": url,
    "auth": setting("PREFECT_SERVER_API_AUTH_STRING"),
    "api_url": setting("PREFECT_API_URL"),
    "ui_api_url": setting("PREFECT_SERVER_UI_API_URL", "PREFECT_UI_API_URL", "PREFECT_ORION_UI_API_URL"),
    "host": setting("PREFECT_SERVER_API_HOST", "PREFECT_ORION_API_HOST"),
    "port": setting("PREFECT_SERVER_API_PORT", "PREFECT_ORION_API_PORT"),
    "given": given(),
    "counts": {},
    "problem": "",
}
for name in ("PREFECT_SERVER_ENCRYPTION_KEY", "PREFECT_API_ENCRYPTION_KEY", "ORION_ENCRYPTION_KEY"):
    if os.environ.get(name):
        answer["given"][name] = os.environ[name]
try:
    if url.startswith("sqlite"):
        path = url.partition(":///")[2].partition("?")[0]
        answer["sqlite"] = os.path.abspath(path) if path and ":memory:" not in path else ""
        answer["counts"] = of_sqlite(answer["sqlite"]) if answer["sqlite"] else {}
    else:
        answer["counts"] = asyncio.run(of_postgres(url))
except Exception as error:
    answer["problem"] = type(error).__name__ + ": " + str(error).replace(url, "***")
print("\n" + json.dumps(answer))
'''
