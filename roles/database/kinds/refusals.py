"""What it means when Postgres, or the TLS before it, refuses a login: a table from the error to cause and fix."""

from __future__ import annotations

from encamp.shared.record import record


@record
class Refusal:
    """A login's error (SQLSTATE, class, text) in which ``pattern`` is found.

    ``{place}``, ``{user}``, ``{database}`` and ``{tls}`` stand for what was asked, ``{text}`` for the error's text and
    ``{openssl}`` for what OpenSSL says in it. ``deploys``: where encamp keeps the database, a deploy is the fix.
    """

    pattern: str
    reason: str
    cause: str
    fix: str
    deploys: bool = False


#: The first match counts.
REFUSALS = (
    Refusal(
        r"connection requires a valid client certificate|certificate authentication failed",
        "Postgres at {place} requires a client certificate",
        "its pg_hba.conf requires one (clientcert, cert)",
        "set database_cert_file: and database_key:",
    ),
    Refusal(
        r"28P01|password authentication failed",
        "Postgres at {place} refuses the login of {user}",
        "the password is wrong, or the role does not exist (Postgres says the same of both)",
        "`psql -c '\\du {user}'` on the database server shows the role; correct the password in the source of "
        "database_url, percent-encoded",
        deploys=True,
    ),
    Refusal(
        r"(?:[Pp]eer|[Ii]dent) authentication failed",
        "Postgres at {place} lets no system user of another name in as {user}",
        "its pg_hba.conf asks for the name of the system user (peer, ident), and no map joins the two names",
        "let pg_hba.conf ask for the password (scram-sha-256), or add a map to pg_ident.conf",
        deploys=True,
    ),
    Refusal(
        r'role ".*" does not exist|is not permitted to log in',
        "Postgres at {place} has no role {user} with the LOGIN attribute",
        "",
        'on the database server: CREATE ROLE "{user}" LOGIN PASSWORD ...',
        deploys=True,
    ),
    Refusal(
        r"3D000",
        "Postgres at {place} has no database {database}",
        "it was never created, or its name is wrong",
        'on the database server: CREATE DATABASE "{database}" OWNER "{user}"',
        deploys=True,
    ),
    Refusal(
        r"53300",
        "Postgres at {place} has no free connection",
        "clients use all connections that max_connections, the role or the database allows",
        "`SELECT usename, count(*) FROM pg_stat_activity GROUP BY 1` there shows who; close some, or raise the limit",
    ),
    Refusal(
        r"prepared statement \S+ (?:already exists|does not exist)|unsupported startup parameter",
        "{place} is a connection pooler that Prefect's driver cannot use: {text}",
        "such as PgBouncer with pool_mode = transaction",
        "use Postgres's own port, or set pool_mode = session there",
    ),
    Refusal(
        r"Connection ?(?:Reset|DoesNotExist)|[Cc]onnection was closed in the middle|[Uu]nexpected connection_lost",
        "{place} closed the connection during the login: {text}",
        "Postgres ended it (its log says why), or a proxy or firewall did, or it is another program",
        "on the database server: `ss -ltnp` shows what listens there; then read Postgres's log",
    ),
    Refusal(r"57P03", "Postgres at {place} is starting or stopping", "{text}", "wait, then deploy again"),
    Refusal(
        r"42501",
        "{user} may not connect to the database {database} at {place}",
        "",
        'on the database server: GRANT CONNECT ON DATABASE "{database}" TO "{user}"',
        deploys=True,
    ),
    Refusal(
        r"rejected SSL upgrade|does not support SSL",
        "Postgres at {place} does not offer TLS, but database_tls is {tls}",
        "ssl is off there",
        "enable it there (ssl = on), or set database_tls: prefer",
    ),
    Refusal(
        r"[Hh]ostname mismatch|IP address mismatch|doesn't match",
        "the certificate of {place} is for a different name: {openssl}",
        "it does not contain the address in use",
        "use the name in the certificate, or set database_tls_check_hostname: false",
    ),
    Refusal(
        r"certificate has expired|not yet valid",
        "the certificate of {place} is not currently valid",
        "it has expired, or this host's clock is wrong",
        "`date -u` on this host shows its clock; if that is right, renew the certificate",
    ),
    Refusal(
        r"CERTIFICATE_VERIFY_FAILED",
        "the certificate of {place} is not signed by an authority that this host trusts: {openssl}",
        "a private CA signed it, or database_ca_file is a different CA",
        "`openssl s_client -starttls postgres -connect {place} </dev/null` names who signed it; set "
        "database_ca_file: to "
        "that CA's file",
    ),
    Refusal(
        r"KEY_VALUES_MISMATCH|PEM lib|bad decrypt|NO_START_LINE",
        "the client certificate or key for {place} cannot be used: {text}",
        "they do not match, the key has a passphrase, or a file is not PEM",
        "correct database_cert_file and database_key",
    ),
)
