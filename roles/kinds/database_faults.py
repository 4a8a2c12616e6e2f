"""What is wrong with a database, in plain words: from what a probe found out to cause and fix."""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping, Optional

from encamp.shared.record import record, replace


@record
class Target:
    """What was asked. ``place`` is host and port for people; ``keeper`` the inventory's name of the host that keeps the
    database (empty: encamp does not manage it)."""

    place: str
    user: str
    database: str
    tls: str
    keeper: str = ""

    @property
    def deploy(self) -> str:
        """What makes the database right where encamp keeps it; empty where it does not."""
        return f"run `fab -H {self.keeper} deploy` (or `fab deploy`), which sets that up" if self.keeper else ""


@record
class Fault:
    """Why a server could not work with a database."""

    reason: str
    cause: str = ""
    fix: str = ""


@record
class Report:
    """What the probe's program told. ``stage`` is how far it came: driver, name, port, login, facts, schema, extension
    or done. ``kind``, ``code`` (an SQLSTATE) and ``text`` are of the error that ended it."""

    stage: str
    facts: Mapping[str, Any]
    kind: str = ""
    code: str = ""
    text: str = ""


def fault_of(report: Report, target: Target) -> Optional[Fault]:
    """Why the program did not come to its end; None where it did."""
    if report.stage == "done":
        return None
    found = _STAGES[report.stage](report, target)
    if found.fix:
        return found
    fix = target.deploy or "see what the lines below say; try `psql` from this host with the same address"
    return replace(found, fix=fix)


def _driver(report: Report, target: Target) -> Fault:
    return Fault(
        "Prefect's environment has no asyncpg", "it is damaged", "remove it below /opt/prefect/envs and deploy"
    )


def _name(report: Report, target: Target) -> Fault:
    host = target.place.rpartition(":")[0]
    return Fault(
        f"this host cannot resolve the database's name {host}",
        "the name is wrong, or this host's name servers do not know it",
        f"try `getent hosts {host}` here; give an address in its place"
        + (f" (postgres_address of {target.keeper})" if target.keeper else ""),
    )


def _port(report: Report, target: Target) -> Fault:
    if report.kind == "ConnectionRefusedError":
        return Fault(
            f"nothing listens at {target.place}",
            "Postgres is down, has another port, or listens on other addresses only (listen_addresses)",
            target.deploy or "see there that it runs (`ss -ltnp`), and that host and port of database_url are right",
        )
    reason = f"no answer from {target.place}: {report.text or report.kind}"
    cause = "a firewall on the way drops the packets, or the address is wrong"
    return Fault(
        reason, cause, "" if target.keeper else "let this host through to that port (firewall, security group)"
    )


def _login(report: Report, target: Target) -> Fault:
    for pattern, told in _LOGIN:
        if re.search(pattern, f"{report.code} {report.kind} {report.text}"):
            return told(report, target)
    return Fault(
        f"{target.place} takes connections, but no login: {report.text or report.kind}",
        "another program, or a proxy, listens there" if not report.code else "",
    )


def _password(report: Report, target: Target) -> Fault:
    fix = target.deploy or "correct the password in the source of database_url, percent-encoded"
    return Fault(
        f"Postgres at {target.place} refuses the login of {target.user}",
        "the password is wrong, or there is no such role",
        fix,
    )


def _no_entry(report: Report, target: Target) -> Fault:
    seen = re.search(r'for host "([^"]+)"', report.text)
    address = seen[1] if seen else "this host"
    reason = f"Postgres at {target.place} lets nobody in from {address} as {target.user} to {target.database}"
    if target.keeper:
        fix = f"set database_client_address: {address} for this server, then deploy {target.keeper} and it"
        return Fault(reason, "its pg_hba.conf has no entry for that address", fix)
    cause = "its pg_hba.conf has no entry for that address"
    if target.tls == "off":
        cause += ", or takes TLS connections only"
    rule = f"hostssl {target.database} {target.user} {address}/32 scram-sha-256"
    return Fault(reason, cause, f"there: add `{rule}` to pg_hba.conf, or the address to its allowed networks")


def _no_role(report: Report, target: Target) -> Fault:
    fix = target.deploy or f'there: CREATE ROLE "{target.user}" LOGIN PASSWORD ...'
    return Fault(f"Postgres at {target.place} has no role {target.user} that may log in", "", fix)


def _no_database(report: Report, target: Target) -> Fault:
    fix = target.deploy or f'there: CREATE DATABASE "{target.database}" OWNER "{target.user}"'
    return Fault(
        f"Postgres at {target.place} has no database {target.database}", "it was never made, or its name is wrong", fix
    )


def _may_not_connect(report: Report, target: Target) -> Fault:
    fix = target.deploy or f'there: GRANT CONNECT ON DATABASE "{target.database}" TO "{target.user}"'
    return Fault(f"{target.user} may not connect to the database {target.database} at {target.place}", "", fix)


def _full(report: Report, target: Target) -> Fault:
    return Fault(
        f"Postgres at {target.place} has no connection left",
        "its clients hold as many as max_connections, the role or the database allows",
        "close some, or raise that limit",
    )


def _starting(report: Report, target: Target) -> Fault:
    return Fault(f"Postgres at {target.place} is starting or stopping", report.text, "wait, then deploy again")


def _no_tls(report: Report, target: Target) -> Fault:
    return Fault(
        f"Postgres at {target.place} offers no TLS, and database_tls is {target.tls}",
        "ssl is off there",
        "switch it on there (ssl = on), or set database_tls: prefer",
    )


def _wrong_ca(report: Report, target: Target) -> Fault:
    return Fault(
        f"the certificate of {target.place} is not of an authority that this host trusts: {_reason_in(report.text)}",
        "the server's certificate is signed by a CA of its own, or database_ca_file is that of another",
        "name the CA's file with database_ca_file",
    )


def _wrong_name(report: Report, target: Target) -> Fault:
    return Fault(
        f"the certificate of {target.place} is for another name: {_reason_in(report.text)}",
        "the address that is used is not in it",
        "use the name in the certificate, or set database_tls_check_hostname: false",
    )


def _expired(report: Report, target: Target) -> Fault:
    return Fault(
        f"the certificate of {target.place} is not valid now",
        "it has expired, or one of the two clocks is wrong",
        "renew it",
    )


def _own_certificate(report: Report, target: Target) -> Fault:
    return Fault(
        f"Postgres at {target.place} wants a certificate of this server's own",
        "its pg_hba.conf asks for one (clientcert, cert)",
        "give one with database_cert_file and database_key",
    )


def _key(report: Report, target: Target) -> Fault:
    return Fault(
        f"the certificate or key to show to {target.place} cannot be used: {report.text}",
        "they do not belong together, or the key has a passphrase",
        "correct database_cert_file and database_key",
    )


#: What a login's error (SQLSTATE, class, text) means. The first match counts.
_LOGIN: tuple[tuple[str, Callable[[Report, Target], Fault]], ...] = (
    (r"connection requires a valid client certificate|certificate authentication failed", _own_certificate),
    (r"28P01|password authentication failed", _password),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", _no_entry),
    (r'role ".*" does not exist|is not permitted to log in|[Pp]eer authentication failed', _no_role),
    (r"3D000", _no_database),
    (r"53300", _full),
    (r"57P03", _starting),
    (r"42501", _may_not_connect),
    (r"rejected SSL upgrade|does not support SSL", _no_tls),
    (r"[Hh]ostname mismatch|IP address mismatch|doesn't match", _wrong_name),
    (r"certificate has expired|not yet valid", _expired),
    (r"CERTIFICATE_VERIFY_FAILED", _wrong_ca),
    (r"KEY_VALUES_MISMATCH|PEM lib|bad decrypt|NO_START_LINE", _key),
)


def _facts(report: Report, target: Target) -> Fault:
    return Fault(f"Postgres at {target.place} does not answer a simple question: {report.text}")


def _schema(report: Report, target: Target) -> Fault:
    if report.code == "25006":
        return Fault(
            f"the database {target.database} at {target.place} is read-only",
            "it is a standby, or default_transaction_read_only is on",
            "give the address of the primary",
        )
    if report.code == "3F000":
        return Fault(
            f"the database {target.database} has no schema for {target.user} to use",
            "the schema public was dropped, or search_path names others",
            f'there: CREATE SCHEMA "{target.user}" AUTHORIZATION "{target.user}"',
        )
    return Fault(
        f"{target.user} may not create tables in the database {target.database}: {report.text}",
        "since Postgres 15 only a database's owner may do so in its schema public",
        target.deploy or f'there: ALTER DATABASE "{target.database}" OWNER TO "{target.user}"',
    )


def _extension(report: Report, target: Target) -> Fault:
    if report.code in ("0A000", "58P01"):
        return Fault(
            "the extension pg_trgm, which Prefect needs, is not installed at the database's server",
            "the distribution's contrib package is missing, or the provider does not allow it",
            target.deploy or "install postgresql-contrib there, or allow pg_trgm with the provider",
        )
    return Fault(
        f"{target.user} may not create the extension pg_trgm in {target.database}, and it is not there: {report.text}",
        "that takes a superuser, or the right CREATE on the database from Postgres 13 on",
        target.deploy or f'there, as the superuser and in "{target.database}": CREATE EXTENSION pg_trgm',
    )


_STAGES: Mapping[str, Callable[[Report, Target], Fault]] = {
    "driver": _driver,
    "name": _name,
    "port": _port,
    "login": _login,
    "facts": _facts,
    "schema": _schema,
    "extension": _extension,
}


def _reason_in(text: str) -> str:
    """The part of OpenSSL's message that says something."""
    return text.partition("verify failed: ")[2].partition(" (_ssl")[0] or text
