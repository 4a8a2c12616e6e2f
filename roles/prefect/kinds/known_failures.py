"""What a Prefect server's log says when it does not come up, and what that means.

Every text was seen by provoking the fault on a real server; order matters, the first match wins.
"""

from __future__ import annotations

import re
from typing import Optional, Sequence

from encamp.shared.record import record


@record
class Known:
    """A fault known by its text: ``pattern`` is a regular expression for one or more lines of a log."""

    pattern: str
    cause: str
    fix: str


KNOWN = (
    # -- the program itself ------------------------------------------------------------------------------------
    Known(
        r"Body\(\) got an unexpected keyword argument|No module named 'griffe\.dataclasses'"
        r"|cannot import name 'SecretField'|skip_on_failure|No module named 'importlib_metadata'"
        r"|'PrefectRouter' object has no attribute|'type' object is not iterable|ResultRecordMetadata",
        "a dependency is newer than this Prefect release supports: it was resolved without a date",
        "install from a lock made as of the release's own date (`fab lock --prefect VERSION`)",
    ),
    Known(
        r"Can't evaluate bulk DML statement",
        "Prefect before 3.9.1 with SQLAlchemy 2.1 or later: its scheduler fails, and schedules create no flow runs",
        "deploy again with a lock that keeps within the release's bounds (`fab lock --prefect VERSION` makes one)",
    ),
    Known(
        r"FileNotFoundError: .*'uvicorn'",
        "Prefect before 2.19 finds uvicorn by PATH, and the environment's bin is not on it",
        "put the environment's bin directory first in the unit's PATH",
    ),
    Known(
        r"Extra inputs are not permitted|validation errors? for Settings|Unknown setting|Invalid (?:isoformat|duration)"
        r"|validation error for \w*Settings",
        "a setting has a name or a value that this release does not accept",
        "correct that setting; the lines below name it",
    ),
    Known(r"MemoryError|Out of memory|oom-kill", "the host ran out of memory", "give the host more memory, or swap"),
    # -- the port ----------------------------------------------------------------------------------------------
    Known(
        r"Port \d+ is already in use|\[Errno 98\]|[Aa]ddress already in use",
        "another program listens on that port, or the bind address is not this host's",
        "find it with `ss -ltnp`, stop it, or choose another port; or correct bind:",
    ),
    Known(
        r"\[Errno 99\]|[Cc]annot assign requested address",
        "the bind address does not belong to this host",
        "bind 0.0.0.0 or an address of this host",
    ),
    # -- places it must write ----------------------------------------------------------------------------------
    Known(
        r"Read-only file system.*ui_build|ui_build.*Read-only file system"
        r"|Failed to create .*UI static directory|Read-only file system.*ui",
        "Prefect writes its UI assets at start, and the directory for them is read-only under this unit",
        "set PREFECT_UI_STATIC_DIRECTORY to a directory in the unit's StateDirectory",
    ),
    Known(
        r"no such table: _alembic_tmp_",
        "SQLite had no writable directory for temporary files during a migration",
        "set PrivateTmp=yes in the unit",
    ),
    Known(
        r"unable to open database file|attempt to write a readonly database|readonly database",
        "the SQLite file or its directory cannot be written by the service's user",
        "give the directory to the service's user",
    ),
    Known(
        r"No space left on device|database or disk is full", "the disk is full", "free some space, then deploy again"
    ),
    Known(
        r"Read-only file system|\[Errno 30\]",
        "the unit's hardening makes a directory read-only that Prefect writes to",
        "move PREFECT_HOME and the UI directory to the unit's StateDirectory",
    ),
    Known(
        r"Failed to set up mount namespacing:.*(?:Permission denied|Operation not permitted)",
        "this host (a container, such as LXC) does not let units have mount namespaces, which their sandbox needs",
        "allow it outside the container (LXC and Proxmox: nesting=1; LXD: security.nesting=true), and restart it",
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
    # -- the database ------------------------------------------------------------------------------------------
    Known(
        r"Can't locate revision identified by",
        "the database was upgraded by a newer Prefect than this one",
        "deploy the newer release again, or restore the dump made before the upgrade",
    ),
    Known(
        r"No module named 'psycopg2?'",
        "the database URL names a driver that Prefect does not use",
        "write postgresql+asyncpg:// in the database URL",
    ),
    Known(
        r"password authentication failed",
        "Postgres refuses the password",
        "deploy again, so that both sides use the same password",
    ),
    Known(
        r"Peer authentication failed|Ident authentication failed",
        "Postgres maps the system user to another role, or the service runs as another user",
        "give the database role the name of the service's user, or add a rule or a map to pg_hba",
    ),
    Known(
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        "Postgres does not accept this user, database or address",
        "add a rule to pg_hba (the postgres role does so for the server's host)",
    ),
    Known(r'role ".*" does not exist', "the database role is missing", "run the postgres role (`fab deploy`)"),
    Known(r'database ".*" does not exist', "the database is missing", "run the postgres role (`fab deploy`)"),
    Known(
        r"permission denied for (?:schema|table|relation|database)|must be owner of",
        "the database belongs to another role",
        "make the service's role the owner of the database",
    ),
    Known(
        r"pg_type_typname_nsp_index|duplicate key value violates unique constraint",
        "two servers migrated one empty database at the same time",
        "migrate once, then start the others with MIGRATE_ON_START=false",
    ),
    Known(
        r"QueuePool limit of size \d+ overflow \d+ reached",
        "more requests at once than the server has connections to its database (database_pool_size, "
        "database_max_overflow)",
        "raise these two settings as far as max_connections of Postgres allows, or run fewer flows at once",
    ),
    Known(
        r"No module named 'prefect_\w+'",
        "a setting of server_environment names an integration that is not installed for the server",
        "remove that setting from server_environment",
    ),
    Known(
        r"Invalid host '\[?[0-9a-f]*:[0-9a-f:]*\]?'",
        "Prefect before 3.6.14 cannot listen on an IPv6 address",
        "deploy 3.6.14 or later, or bind: an IPv4 address (0.0.0.0)",
    ),
    Known(
        r"too many connections|remaining connection slots",
        "Postgres has no free connection",
        "raise max_connections, or lower the server's pool",
    ),
    Known(
        r"Name or service not known|Temporary failure in name resolution",
        "the database's host name cannot be resolved, or a special character in the URL's password "
        "is not percent-encoded",
        "check the host name; percent-encode the password",
    ),
    Known(
        r"Connect call failed|Connection refused|ConnectionRefusedError|could not connect to server",
        "the database (or Redis) does not listen where the URL points",
        "check that it runs and listens there: `systemctl status postgresql`, `ss -ltnp`",
    ),
    Known(
        r"connect\S* .*\.s\.PGSQL|\[Errno 2\] No such file or directory(?!:)",
        "the URL points to a Postgres socket that does not exist",
        "check that Postgres runs, and the location of its socket (unix_socket_directories)",
    ),
    Known(
        r"error while attempting to bind|Application startup failed",
        "the server exited during startup",
        "the lines below say where",
    ),
)


#: What a client prints when a flow does not run, before the faults of a server.
KNOWN_CLIENT = (
    Known(
        r"No module named 'prefect'",
        "Prefect is not installed in that Python",
        "use the interpreter of the environment that has it, or run `fab configure-client --install`",
    ),
    Known(
        r"No module named 'prefect_\w+'",
        "an integration of Prefect is not installed in the Python that runs the flow",
        "install it there: for a worker in `packages` of its entry in workers:",
    ),
    Known(
        r"incompatible versions",
        "client and server are of different major versions",
        "use the same major version for both; the server must be at least as new",
    ),
    Known(
        r"extra_forbidden|extra fields not permitted",
        "the server does not know a field that this client sends: their releases are incompatible "
        "(usually the client is "
        "newer; a client of Prefect 2 cannot make deployments on a server of Prefect 3)",
        "`fab doctor` names both releases; give this client the server's, or upgrade the server",
    ),
    Known(
        r"Unable to authenticate to the event stream",
        "the server closed the WebSocket for events as this client logged in: the server is older than 3.6.14 and the "
        "client is not, or user and password are wrong; task runs are lost",
        "`fab doctor` names both releases and checks the password",
    ),
    Known(
        r"401 Unauthorized|\b401\b.*Unauthorized",
        "the client sends no user and password, or wrong ones (Prefect 2 clients do not support authentication)",
        "set PREFECT_API_AUTH_STRING in the profile to the server's",
    ),
    Known(
        r"Failed to reach API at",
        "the server does not respond at that URL, or /api is missing from it",
        "the URL must end in /api; check the server with `fab -H SERVER doctor`",
    ),
    Known(
        r"No Prefect API URL provided",
        "no API URL is set for this user",
        "run `fab configure-client`",
    ),
    Known(
        r"Starting temporary server on|Server type:\s+ephemeral",
        "no API URL is set: the flow used its own temporary server, which other machines cannot see",
        "run `fab configure-client`",
    ),
    Known(
        r"(?:Active )?profile '[^']*'.* not found",
        "the selected profile (`active` or PREFECT_PROFILE) does not exist; Prefect uses its built-in one",
        "select an existing one with `prefect profile use NAME`, or run `fab configure-client`",
    ),
    Known(
        r"Missing CSRF token|Invalid CSRF token|'403 Forbidden' for url '[^']*/api/",
        "the server requires CSRF tokens, which clients support since Prefect 2.16.5 (or a proxy forbids the request)",
        "upgrade the client, or disable CSRF protection on the server",
    ),
    Known(
        r"'detail': 'Not Found'|Expecting value: line 1 column 1",
        "/api is missing from the API URL: the UI responds there",
        "append /api to PREFECT_API_URL",
    ),
    Known(
        r"Flow run '[^']*' not found|Flow run not found|ObjectNotFound",
        "that flow run is on another API: the one that this client uses does not know it",
        "`fab doctor` shows which API each client uses and what sets it",
    ),
    Known(
        r"WRONG_VERSION_NUMBER",
        "the URL is https, but the port speaks plain http",
        "write http:// in PREFECT_API_URL, or put TLS in front of the server",
    ),
    Known(
        r"CERTIFICATE_VERIFY_FAILED",
        "the server's certificate is not signed by an authority that Prefect knows, or is for another name",
        "set ca_bundle: and run `fab configure-client`, or set PREFECT_API_SSL_CERT_FILE",
    ),
    Known(
        r"ConnectError: \[Errno -\d\]",
        "this machine cannot resolve the server's name",
        "use a name this machine can resolve, or the server's address",
    ),
    Known(
        r"All connection attempts failed|Can't connect to Server API|Unable to connect to Prefect server",
        "nothing responds at the API URL: the server is down, a firewall blocks it, or the address is wrong",
        "`fab doctor` shows which",
    ),
    Known(
        r"Unknown setting|TOMLDecodeError|not valid TOML|Failed to load profiles",
        "the profiles file has a name or a line that this Prefect does not accept",
        "correct it; the lines below name it",
    ),
    *KNOWN,
)


def explain(log: str) -> Optional[Known]:
    """The first known fault of a server in ``log`` (several lines); None where nothing matches."""
    return _first(KNOWN, log)


def explain_client(output: str) -> Optional[Known]:
    """The first known fault of a client in the output of a flow; None where nothing matches."""
    return _first(KNOWN_CLIENT, output)


def _first(table: Sequence[Known], text: str) -> Optional[Known]:
    return next((known for known in table if re.search(known.pattern, text)), None)
