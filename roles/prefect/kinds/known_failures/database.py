"""What a server says of its database, its Redis and the way to them."""

from __future__ import annotations

from roles.prefect.kinds.known_failures.known import Known

DATABASE = (
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
