"""What differs between Prefect releases, in one table: setting names, commands and abilities by version.

No other file asks which version it has. Names and the releases that brought them were measured by running each
generation: a name that a release does not know is ignored without a word, and the server then runs on its defaults.

Every row is a list of (first release, value), oldest first; the last whose release is not newer counts. A value of
None or False: gone from that release on. 3.0 still has the names of 2.8; 3.1 brought new ones and reads both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from encamp.errors import SettingsError

T = TypeVar("T")
Version = tuple[int, ...]
Row = tuple[tuple[str, T], ...]
UVICORN = ("--host", "{bind}", "--port", "{port}", "--log-level", "{log_level}")
CONNECT_ARGS = "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS"
#: For each setting, the name of its environment variable from a release on.
NAMES: Mapping[str, Row[str | None]] = {
    # -- clients and workers ------------------------------------------------------------------------------------
    "api_url": (("2.0", "PREFECT_API_URL"),),
    "home": (("2.0", "PREFECT_HOME"),),
    "ephemeral": (("3.0", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"),),
    "ephemeral_timeout": (("3.0", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"),),
    "log_level": (("2.0", "PREFECT_LOGGING_LEVEL"),),
    "logs_to_api": (("2.0", "PREFECT_LOGGING_ORION_ENABLED"), ("2.8", "PREFECT_LOGGING_TO_API_ENABLED")),
    "client_auth": (("3.1.8", "PREFECT_API_AUTH_STRING"),),
    "client_csrf": (("2.16.5", "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED"),),
    "client_headers": (("3.4.8", "PREFECT_CLIENT_CUSTOM_HEADERS"),),
    "client_tls_ca_file": (("2.16.5", "PREFECT_API_SSL_CERT_FILE"),),
    #: Read by every program, and by Prefect where that has no setting, or its WebSockets ignore it.
    "client_trust": (("2.0", "SSL_CERT_FILE"), ("3.2.11", None)),
    "client_tls_insecure": (("2.7.7", "PREFECT_API_TLS_INSECURE_SKIP_VERIFY"),),
    "client_version_check": (("3.6.21", "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED"),),
    "client_metrics": (("3.0", "PREFECT_CLIENT_ENABLE_METRICS"), ("3.1", "PREFECT_CLIENT_METRICS_ENABLED")),
    "client_metrics_port": (("3.0", "PREFECT_CLIENT_METRICS_PORT"),),
    # -- the server's address and UI ----------------------------------------------------------------------------
    "api_host": (("2.0", "PREFECT_ORION_API_HOST"), ("2.8", "PREFECT_SERVER_API_HOST")),
    "api_port": (("2.0", "PREFECT_ORION_API_PORT"), ("2.8", "PREFECT_SERVER_API_PORT")),
    "api_base_path": (("3.2.7", "PREFECT_SERVER_API_BASE_PATH"),),
    "ui_api_url": (
        ("2.0", "PREFECT_ORION_UI_API_URL"),
        ("2.8", "PREFECT_UI_API_URL"),
        ("3.1", "PREFECT_SERVER_UI_API_URL"),
    ),
    "ui_enabled": (
        ("2.0", "PREFECT_ORION_UI_ENABLED"),
        ("2.8", "PREFECT_UI_ENABLED"),
        ("3.1", "PREFECT_SERVER_UI_ENABLED"),
    ),
    "ui_serve_base": (("2.14.14", "PREFECT_UI_SERVE_BASE"), ("3.1", "PREFECT_SERVER_UI_SERVE_BASE")),
    "ui_static_directory": (("2.14.16", "PREFECT_UI_STATIC_DIRECTORY"), ("3.1", "PREFECT_SERVER_UI_STATIC_DIRECTORY")),
    # -- access -------------------------------------------------------------------------------------------------
    "server_auth": (("3.1.8", "PREFECT_SERVER_API_AUTH_STRING"),),
    "csrf": (
        ("2.16.5", "PREFECT_SERVER_CSRF_PROTECTION_ENABLED"),
        ("3.1", "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"),
    ),
    "cors_origins": (
        ("2.20.17", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"),
        ("3.0", None),  # 2.20.17 is younger than 3.0
        ("3.0.3", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"),
        ("3.1", "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"),
    ),
    "cors_methods": (
        ("2.20.17", "PREFECT_SERVER_CORS_ALLOWED_METHODS"),
        ("3.0", None),
        ("3.0.3", "PREFECT_SERVER_CORS_ALLOWED_METHODS"),
        ("3.1", "PREFECT_SERVER_API_CORS_ALLOWED_METHODS"),
    ),
    "cors_headers": (
        ("2.20.17", "PREFECT_SERVER_CORS_ALLOWED_HEADERS"),
        ("3.0", None),
        ("3.0.3", "PREFECT_SERVER_CORS_ALLOWED_HEADERS"),
        ("3.1", "PREFECT_SERVER_API_CORS_ALLOWED_HEADERS"),
    ),
    # -- what the server tells ----------------------------------------------------------------------------------
    "analytics": (("2.0", "PREFECT_ORION_ANALYTICS_ENABLED"), ("2.8", "PREFECT_SERVER_ANALYTICS_ENABLED")),
    "metrics": (("3.0", "PREFECT_API_ENABLE_METRICS"), ("3.1", "PREFECT_SERVER_METRICS_ENABLED")),
    "server_log_level": (("2.0", "PREFECT_LOGGING_SERVER_LEVEL"), ("3.1", "PREFECT_SERVER_LOGGING_LEVEL")),
    # -- the database -------------------------------------------------------------------------------------------
    "database_url": (
        ("2.0", "PREFECT_ORION_DATABASE_CONNECTION_URL"),
        ("2.8", "PREFECT_API_DATABASE_CONNECTION_URL"),
        ("3.1", "PREFECT_SERVER_DATABASE_CONNECTION_URL"),
    ),
    "database_password": (
        ("2.0", "PREFECT_ORION_DATABASE_PASSWORD"),
        ("2.8", "PREFECT_API_DATABASE_PASSWORD"),
        ("3.1", "PREFECT_SERVER_DATABASE_PASSWORD"),
    ),
    "database_timeout": (
        ("2.0", "PREFECT_ORION_DATABASE_TIMEOUT"),
        ("2.8", "PREFECT_API_DATABASE_TIMEOUT"),
        ("3.1", "PREFECT_SERVER_DATABASE_TIMEOUT"),
    ),
    "database_connection_timeout": (
        ("2.0", "PREFECT_ORION_DATABASE_CONNECTION_TIMEOUT"),
        ("2.8", "PREFECT_API_DATABASE_CONNECTION_TIMEOUT"),
        ("3.1", "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT"),
    ),
    "database_migrate_on_start": (
        ("2.0", "PREFECT_ORION_DATABASE_MIGRATE_ON_START"),
        ("2.8", "PREFECT_API_DATABASE_MIGRATE_ON_START"),
        ("3.1", "PREFECT_SERVER_DATABASE_MIGRATE_ON_START"),
    ),
    "database_pool_size": (
        ("2.12", "PREFECT_SQLALCHEMY_POOL_SIZE"),
        ("3.1", "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE"),
    ),
    "database_max_overflow": (
        ("2.12", "PREFECT_SQLALCHEMY_MAX_OVERFLOW"),
        ("3.1", "PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW"),
    ),
    "database_application_name": (("3.1.15", f"{CONNECT_ARGS}_APPLICATION_NAME"),),
    "database_statement_cache_size": (("3.2.15", f"{CONNECT_ARGS}_STATEMENT_CACHE_SIZE"),),
    "database_tls": (("3.4.12", f"{CONNECT_ARGS}_TLS_ENABLED"),),
    "database_tls_ca_file": (("3.4.12", f"{CONNECT_ARGS}_TLS_CA_FILE"),),
    "database_tls_cert_file": (("3.4.12", f"{CONNECT_ARGS}_TLS_CERT_FILE"),),
    "database_tls_key_file": (("3.4.12", f"{CONNECT_ARGS}_TLS_KEY_FILE"),),
    "database_tls_check_hostname": (("3.4.12", f"{CONNECT_ARGS}_TLS_CHECK_HOSTNAME"),),
}
#: Names that begin so are ignored from a release on; all others go on being read when they have a successor.
DROPPED: Row[str] = (("PREFECT_ORION_", "2.13"),)
#: The profiles that Prefect brings, from a release on. The first is its default, the others know a server.
BUILTIN_PROFILES: Row[str] = (("2.0", "default"), ("3.0", "ephemeral local test cloud"))
#: Clients from the first release on fail with servers before the second, as the third says. Each was seen to fail; the
#: releases are from the sources of both sides.
CLIENTS_REFUSED: tuple[tuple[str, str, str], ...] = (
    ("2.3", "2.3", "it answers 422 to the block types that this client registers"),
    ("3.0", "3.0", "clients refuse a server of an older generation (`Found incompatible versions`)"),
    ("3.1", "3.1", "it answers 422 to every flow run (extra_forbidden, labels)"),
)
#: Since then clients send user and password where they have a key of Prefect Cloud, too; before, the key alone.
AUTH_BEFORE_KEY = "3.4.12"
#: What a release can do, from a release on.
ABILITIES: Mapping[str, Row[bool]] = {
    "work pools": (("2.8", True),),
    "workers": (("2.10", True),),
    "worker queues": (("2.10.21", True),),
    #: Measured with 2.20.26; the CLI for them came with 2.19.
    "global concurrency limits": (("2.19", True),),
    "agents": (("2.0", True), ("3.0", False)),
    #: One agent polls several queues, and makes those that are missing. Before, one queue that must exist.
    "agent queues": (("2.1", True), ("3.0", False)),
    "agent pool": (("2.8", True), ("3.0", False)),
    "agent limit": (("2.7", True), ("3.0", False)),
    #: SIGTERM to an agent or worker lets its flow runs end; before, the process just dies by it.
    "graceful stop": (("2.20", True),),
    #: GET /api/ready, which asks the database.
    "ready": (("2.10.11", True),),
    "events": (("2.18", True),),
    #: Task runs travel as events over a WebSocket, not as plain requests.
    "task runs by events": (("3.0", True),),
    "auth": (("3.1.8", True),),
    #: A client without an API URL can be told to fail instead of starting a server of its own.
    "ephemeral off": (("3.0", True),),
    "profile on the command line": (("2.0", True),),
    "config validate": (("2.8", True),),
}
#: The command line for each job, from a release on. ``{word}`` stands for a value that ``command`` is given.
COMMANDS: Mapping[str, Row[tuple[str, ...]]] = {
    # `prefect orion start` and, up to 3.1.12, `prefect server start` are no programs for a service: they exit 0 when
    # the server cannot start, up to 2.7 they leave it running when they are stopped, and from 2.20.3 on they refuse
    # a port with connections in TIME_WAIT for a minute after a stop. This is what they start: one process, 100 MB less.
    "server": (
        ("2.0", (*("python", "-m", "uvicorn", "--factory", "prefect.orion.api.server:create_app"), *UVICORN)),
        ("2.8", (*("python", "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"), *UVICORN)),
        ("3.1.13", ("prefect", "server", "start", "--host", "{bind}", "--port", "{port}")),
    ),
    "worker": (("2.10", ("prefect", "worker", "start", "--pool", "{pool}", "--type", "{type}", "--name", "{name}")),),
    #: ``{queue}`` is a queue's name; with "agent queues" the option may be given several times.
    "agent": (
        ("2.0", ("prefect", "agent", "start", "--hide-welcome", "{queue}")),
        ("2.1", ("prefect", "agent", "start", "--hide-welcome", "--work-queue", "{queue}")),
        ("3.0", ()),
    ),
    "database upgrade": (
        ("2.0", ("prefect", "orion", "database", "upgrade", "-y")),
        ("2.8", ("prefect", "server", "database", "upgrade", "-y")),
    ),
}
#: Where ``GET /api/admin/settings`` tells what the server made of a setting.
RESOLVED: Mapping[str, Row[str]] = {
    "home": (("2.0", "PREFECT_HOME"), ("3.0.11", "home")),
    "api_port": (
        ("2.0", "PREFECT_ORION_API_PORT"),
        ("2.8", "PREFECT_SERVER_API_PORT"),
        ("3.0.11", "server.api.port"),
    ),
}
#: Pythons a release runs on, where its own metadata set no upper limit: those it was tested with at the time.
PYTHON: Row[str] = (("2.0", "<3.12"), ("2.14.15", "<3.13"), ("3.4", ""))
#: The module with ``create_app``, which makes the server.
APPLICATION: Row[str] = (("2.0", "prefect.orion.api.server"), ("2.8", "prefect.server.api.server"))
#: The image that upstream publishes of a release. (Which was the first with Python 3.11 was not looked up.)
IMAGE: Row[str] = (("2.0", "prefecthq/prefect:{version}-python3.10"), ("2.8", "prefecthq/prefect:{version}-python3.11"))
#: What must be locked besides, to build what has no wheel: pendulum 2 came out for Python 3.9 and earlier.
BUILD: Row[tuple[str, ...]] = (("2.0", ("poetry-core", "setuptools", "wheel")), ("3.0", ()))
SUPPORTED_SINCE = "2.0"
#: Stands for a release that is not known: later than every one in the table.
NEWEST = "999.0"


def parse(version: str) -> Version:
    """``3.8.8`` as numbers. Raises SettingsError for anything that is no release number."""
    words = version.split(".")
    if not 2 <= len(words) <= 3 or not all(word.isdigit() for word in words):
        raise SettingsError(f"prefect_version: {version!r} is no release number", "write it like '3.8.8', quoted")
    return tuple(int(word) for word in words)


def has(version: str, since: str) -> bool:
    """Whether ``version`` is ``since`` or later."""
    return parse(version) >= parse(since)


def supported(version: str) -> bool:
    """Whether this encamp deploys a release."""
    return has(version, SUPPORTED_SINCE)


def within(version: str, since: str, fixed: str) -> bool:
    """Whether ``version`` is ``since`` or later, and earlier than ``fixed``."""
    return has(version, since) and not has(version, fixed)


def _of(row: Row[T], version: str) -> T | None:
    """The value of a row in a release; None before the first."""
    value = None
    for since, candidate in row:
        if has(version, since):
            value = candidate
    return value


def setting(key: str, version: str) -> str | None:
    """The environment variable that sets ``key`` in a release; None where the release has no such setting."""
    return _of(NAMES[key], version)


def since(key: str) -> str:
    """The first release with a setting (a key of NAMES) or an ability (a key of ABILITIES), to tell an operator."""
    return NAMES[key][0][0] if key in NAMES else ABILITIES[key][0][0]


def able(ability: str, version: str) -> bool:
    """Whether a release has one of ABILITIES."""
    return bool(_of(ABILITIES[ability], version))


def environment(values: Mapping[str, T], version: str) -> dict[str, T]:
    """Settings by their names in ``version``. What the release does not have is left out."""
    named = {setting(key, version): value for key, value in values.items()}
    return {name: value for name, value in named.items() if name is not None}


def resolved(values: Mapping[str, str], version: str) -> dict[str, str]:
    """Values by their paths in ``GET /api/admin/settings`` of a release, for keys of RESOLVED."""
    return {path: value for key, value in values.items() for path in [_of(RESOLVED[key], version)] if path}


def python_range(version: str, declared: str) -> str:
    """The Pythons that a release runs on: what it ``declared``, such as ``>=3.8``, within what it was made for."""
    return ",".join(filter(None, (declared, _of(PYTHON, version))))


def application(version: str) -> str:
    """The module whose ``create_app`` makes the server."""
    return _of(APPLICATION, version) or ""


def build_tools(version: str) -> tuple[str, ...]:
    """Packages that the lock of a release needs besides, to build those without a wheel."""
    return _of(BUILD, version) or ()


def image(version: str) -> str:
    """The container image that upstream publishes of a release, by its tag."""
    return (_of(IMAGE, version) or "").format(version=version)


def command(job: str, version: str, **values: str) -> tuple[str, ...]:
    """The command line for a key of COMMANDS, program first; empty where the release has none.

    Raises KeyError when a value that the command line names is not given.
    """
    return tuple(word.format_map(values) for word in _of(COMMANDS[job], version) or ())
