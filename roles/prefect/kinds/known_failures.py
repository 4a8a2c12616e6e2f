"""What a Prefect server's log says when it does not come up, and what that means.

The texts were seen on real servers, or stand in public reports. In a log the first error counts; where several entries
fit that one error, the first of them does.
"""

from __future__ import annotations

import re
from typing import Optional, Sequence

from encamp.shared.record import record
from roles.prefect.kinds.log_messages import by_weight


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
    Known(
        r"Out of memory|oom-kill|OOM killer",
        "the kernel ended it because memory ran out: the host's, or what the unit may use (MemoryMax)",
        "`journalctl -k -g oom-kill` shows which: CONSTRAINT_NONE is the host, CONSTRAINT_MEMCG the unit's limit",
    ),
    Known(
        r"MemoryError|[Cc]annot allocate memory",
        "it was given no more memory: the host has none left, or a limit of its unit is reached",
        "`free -h` shows what the host has left; if that is much, look at the unit's limits (systemctl show UNIT)",
    ),
    # -- the port ----------------------------------------------------------------------------------------------
    Known(
        r"Port \d+ is already in use",
        "another program listens on that port; or, since Prefect says the same of every failed bind, the bind address "
        "is not this host's, or the port is below 1024",
        "`ss -ltnp` shows what listens on the port; if nothing does, correct bind: or the port",
    ),
    Known(
        r"\[Errno 98\]|[Aa]ddress already in use",
        "another program already listens on that port",
        "find it with `ss -ltnp`, then stop it, or choose another port",
    ),
    Known(
        r"\[Errno 13\] error while attempting to bind|bind: permission denied",
        "the service's user may not listen on that port: Linux reserves those below 1024",
        "choose a port from 1024 on, and let a proxy listen on the other (tls:)",
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
        "security.nesting=true), and restart it",
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
        "this release does not know the database's schema: a newer Prefect upgraded it, or it is another program's",
        "`fab -H SERVER doctor` shows the revision (check `schema`); deploy the newer release again, or restore the "
        "dump made before the upgrade",
    ),
    Known(
        r"No module named 'psycopg2?'",
        "the database URL names a driver that Prefect does not use",
        "write postgresql+asyncpg:// in the database URL",
    ),
    Known(
        r"password authentication failed",
        "Postgres refuses the password, or has no such role (it says the same of both)",
        "deploy again: that sets both on both sides; elsewhere, `psql -c '\\du'` on the database server lists the "
        "roles",
    ),
    Known(
        r"Peer authentication failed|Ident authentication failed",
        "the service's system user has another name than the database role, and no map joins the two",
        "give the role the name of the service's user (`systemctl show UNIT -p User`), or add a map to pg_ident.conf",
    ),
    Known(
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        "Postgres does not accept this user, database or address",
        "add a rule to pg_hba (the postgres role does so for the server's host)",
    ),
    Known(r'role ".*" does not exist', "the database role is missing", "run the postgres role (`fab deploy`)"),
    Known(r'database ".*" does not exist', "the database is missing", "run the postgres role (`fab deploy`)"),
    Known(
        r"gin_trgm_ops|permission denied to create extension",
        "the database lacks the extension pg_trgm: the service's role may not create it, or it is in a schema "
        "outside the "
        "search_path",
        "on the database server, as superuser, in that database: `\\dx` shows its schema; CREATE EXTENSION pg_trgm "
        "makes it",
    ),
    Known(
        r"Undefined(?:Table|Column)Error|no such (?:table|column): |relation \"\w+\" does not exist",
        "the schema is older than this release: no migration ran, or one failed before",
        "`fab -H SERVER doctor` compares the two (check `schema`); a start with migrations upgrades it",
    ),
    Known(
        r"Duplicate(?:Table|Column|Object)Error"
        r"|(?:relation|column|table|index) \S+ (?:of relation \S+ )?already exists",
        "a migration finds what it is to create: an earlier one was cut off, or this release's migration is faulty",
        "`fab -H SERVER doctor` names the revision (check `schema`); restore the dump made before the upgrade",
    ),
    Known(
        r"permission denied for (?:schema|table|relation|database)|must be owner of",
        "the service's role lacks rights in the database: most likely another role owns it",
        "`psql -c '\\l'` on the database server names the owner; ALTER DATABASE name OWNER TO role changes it",
    ),
    Known(
        r"pg_(?:type_typname_nsp|class_relname_nsp|extension_name|namespace_nspname)_index",
        "two servers migrated one empty database at the same time",
        "migrate once, then start the others with MIGRATE_ON_START=false",
    ),
    Known(
        r"duplicate key value violates unique constraint|UNIQUE constraint failed",
        "two writers made the same row at the same time: several servers or services, or clients with the same request",
        "harmless if it does not repeat: `fab -H SERVER doctor` shows that (check `errors`)",
    ),
    Known(
        r"prepared statement \S+ (?:already exists|does not exist)",
        "most likely a connection pooler before Postgres, such as PgBouncer, hands out sessions by transaction",
        "`psql -p 6432 pgbouncer -c 'SHOW CONFIG'` shows pool_mode: set session there, or use Postgres's own port",
    ),
    Known(
        r"cached statement plan is invalid",
        "the schema changed under a server that ran: another one migrated it",
        "restart the server; all servers of a database need the same release",
    ),
    Known(
        r"connection was closed in the middle of operation|InterfaceError.*connection is closed|terminating connection",
        "the database closed the connection: it was restarted, or ended the session; or a firewall or proxy "
        "between the "
        "two dropped it while it was idle",
        "read Postgres's log of that minute; if it says nothing, it is the way between",
    ),
    Known(
        r"QueuePool limit of size \d+ overflow \d+ reached",
        "more requests at once than the server has connections to its database (database_pool_size, "
        "database_max_overflow); or queries hold theirs because they wait for a lock",
        "`fab -H SERVER doctor` shows queries that wait (check `sessions`); if none does, raise the two "
        "settings as far as "
        "max_connections of Postgres allows",
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
        r"too many connections|too many clients|TooManyConnections|remaining connection slots",
        "Postgres has no free connection",
        "`SELECT usename, count(*) FROM pg_stat_activity GROUP BY 1` shows who holds them; raise "
        "max_connections, or lower "
        "the server's pool",
    ),
    Known(
        r"NOAUTH|WRONGPASS|redis\S*AuthenticationError",
        "Redis requires a password, and the server sends none or a wrong one",
        "correct it in the Redis settings of server_environment",
    ),
    Known(
        r"Redis connection error|Error -?\d+ connecting to \S+:\d+|redis\.exceptions\.\w+",
        "the server does not reach its Redis: it is down, its name or port is wrong, or a firewall is between them",
        "the error's last words say which; `redis-cli -h HOST -p PORT ping` on the server's host repeats it",
    ),
    Known(
        r"deadlock detected",
        "two transactions waited for each other, and Postgres ended one of them",
        "harmless if it does not repeat: `fab -H SERVER doctor` shows that (check `errors`)",
    ),
    Known(
        r"Name or service not known|Temporary failure in name resolution",
        "the database's host name cannot be resolved, or a special character in the URL's password "
        "is not percent-encoded",
        "`getent hosts NAME` on that host shows whether the name is known; if it is, percent-encode the password",
    ),
    Known(
        r"Connect call failed|Connection refused|ConnectionRefusedError|could not connect to server",
        "nothing accepts connections at the address in the error: Postgres (5432), Redis (6379) or a Prefect server is "
        "down or listens elsewhere, or a firewall rejects them",
        "`ss -ltn` on the host of that address shows whether it listens",
    ),
    Known(
        r"connect\S* .*\.s\.PGSQL|\[Errno 2\] No such file or directory(?!:)",
        "the socket of Postgres that the URL points to does not exist: Postgres is down, or keeps it elsewhere",
        "`pg_lsclusters` shows whether it runs; `SHOW unix_socket_directories` where its socket is",
    ),
    Known(
        r"(?s)asyncpg.*TimeoutError",
        "the database did not answer in time: it has too much to do or waits for a lock, or the way to it is slow",
        "`fab -H SERVER doctor` shows queries that wait (check `sessions`); if none does, look at the load of "
        "the database",
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
        "the client sends no user and password, or wrong ones, or is too old to send them (before 3.1.8)",
        "`fab doctor` shows which (check `auth`); PREFECT_API_AUTH_STRING in the profile must be the server's",
    ),
    Known(
        r"Failed to reach API at",
        "the server does not respond at that URL, or /api is missing from it",
        "`fab doctor` shows which; the URL must end in /api",
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
        "the server requires CSRF tokens, which clients support since Prefect 2.16.5; or a proxy forbids the request",
        "`fab doctor` shows which (check `CSRF`); upgrade the client, or disable CSRF protection on the server",
    ),
    Known(
        r"'detail': 'Not Found'|Expecting value: line 1 column 1",
        "another page answers there: most likely /api is missing from the API URL; or a proxy or its login page does",
        "`fab doctor` shows which (check `path`); PREFECT_API_URL must end in /api",
    ),
    Known(
        r"Flow run '[^']*' not found|Flow run not found|ObjectNotFound",
        "the API that this client uses does not know it: it is on another API, or was deleted",
        "`fab doctor` shows which API each client uses and what sets it",
    ),
    Known(
        r"WRONG_VERSION_NUMBER",
        "the URL is https, but the port speaks plain http",
        "write http:// in PREFECT_API_URL, or put TLS in front of the server",
    ),
    Known(
        r"CERTIFICATE_VERIFY_FAILED",
        "the server's certificate is not signed by an authority that Prefect knows, is for another name, or has "
        "expired",
        "`fab doctor` shows which (check `TLS`); for an authority of your own set ca_bundle: and run "
        "`fab configure-client`",
    ),
    Known(
        r"ConnectError: \[Errno -\d\]",
        "this machine cannot resolve the server's name",
        "use a name this machine can resolve, or the server's address",
    ),
    Known(
        r"Server disconnected without sending a response|RemoteProtocolError",
        "the server, or a proxy before it, closed the connection without an answer: it was restarted, or had "
        "closed it for "
        "idleness as the request came; Prefect's client tries again",
        "if it repeats, `fab doctor` looks at the way and the server",
    ),
    Known(
        r"httpx\.(?:Read|Pool|Write)Timeout",
        "the server accepted the request and did not answer in time: it or its database has too much to do",
        "`fab -H SERVER doctor` shows late runs, queries that wait, and what it logs",
    ),
    Known(
        r"httpx\.ConnectTimeout",
        "no answer from the address of the API: a firewall drops the packets, a VPN is off, or the address is wrong",
        "`fab doctor` shows which (check `port`)",
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
    """The known fault that the first error of a server's ``log`` (several lines) is; None where nothing matches."""
    return _first(KNOWN, log)


def explain_client(output: str) -> Optional[Known]:
    """The same of the output of a flow, a client or a worker."""
    return _first(KNOWN_CLIENT, output)


def _first(table: Sequence[Known], log: str) -> Optional[Known]:
    messages = by_weight(log)
    return next((known for text in messages for known in table if re.search(known.pattern, text)), None)
