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
        "Postgres at {place} wants a certificate of this server's own",
        "its pg_hba.conf asks for one (clientcert, cert)",
        "give one with database_cert_file and database_key",
    ),
    Refusal(
        r"28P01|password authentication failed",
        "Postgres at {place} refuses the login of {user}",
        "the password is wrong, or there is no such role",
        "correct the password in the source of database_url, percent-encoded",
        deploys=True,
    ),
    Refusal(
        r'role ".*" does not exist|is not permitted to log in|[Pp]eer authentication failed',
        "Postgres at {place} has no role {user} that may log in",
        "",
        'there: CREATE ROLE "{user}" LOGIN PASSWORD ...',
        deploys=True,
    ),
    Refusal(
        r"3D000",
        "Postgres at {place} has no database {database}",
        "it was never made, or its name is wrong",
        'there: CREATE DATABASE "{database}" OWNER "{user}"',
        deploys=True,
    ),
    Refusal(
        r"53300",
        "Postgres at {place} has no connection left",
        "its clients hold as many as max_connections, the role or the database allows",
        "close some, or raise that limit",
    ),
    Refusal(r"57P03", "Postgres at {place} is starting or stopping", "{text}", "wait, then deploy again"),
    Refusal(
        r"42501",
        "{user} may not connect to the database {database} at {place}",
        "",
        'there: GRANT CONNECT ON DATABASE "{database}" TO "{user}"',
        deploys=True,
    ),
    Refusal(
        r"rejected SSL upgrade|does not support SSL",
        "Postgres at {place} offers no TLS, and database_tls is {tls}",
        "ssl is off there",
        "switch it on there (ssl = on), or set database_tls: prefer",
    ),
    Refusal(
        r"[Hh]ostname mismatch|IP address mismatch|doesn't match",
        "the certificate of {place} is for another name: {openssl}",
        "the address that is used is not in it",
        "use the name in the certificate, or set database_tls_check_hostname: false",
    ),
    Refusal(
        r"certificate has expired|not yet valid",
        "the certificate of {place} is not valid now",
        "it has expired, or one of the two clocks is wrong",
        "renew it",
    ),
    Refusal(
        r"CERTIFICATE_VERIFY_FAILED",
        "the certificate of {place} is not of an authority that this host trusts: {openssl}",
        "the server's certificate is signed by a CA of its own, or database_ca_file is that of another",
        "name the CA's file with database_ca_file",
    ),
    Refusal(
        r"KEY_VALUES_MISMATCH|PEM lib|bad decrypt|NO_START_LINE",
        "the certificate or key to show to {place} cannot be used: {text}",
        "they do not belong together, or the key has a passphrase",
        "correct database_cert_file and database_key",
    ),
)
