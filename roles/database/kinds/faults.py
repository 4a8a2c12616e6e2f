"""What is wrong with a database, in plain words: from what a probe found out to cause and fix."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional

from encamp.shared.record import record, replace

if TYPE_CHECKING:
    from roles.database.kinds.refusals import Refusal


@record
class Target:
    """What was asked. ``place`` is host and port for people; ``database_host`` the inventory's name of the host that
    keeps the database (empty: encamp does not manage it)."""

    place: str
    user: str
    database: str
    tls: str
    database_host: str = ""

    @property
    def deploy(self) -> str:
        """What makes the database right where encamp keeps it; empty where it does not."""
        return (
            f"run `fab -H {self.database_host} deploy` (or `fab deploy`), which configures it"
            if self.database_host
            else ""
        )


@record
class Fault:
    """Why a server could not work with a database."""

    reason: str
    cause: str = ""
    fix: str = ""


@record
class Report:
    """What the program answered. ``stage`` is how far it came: driver, name, port, login, facts, schema, extension
    or done. ``kind``, ``code`` (an SQLSTATE) and ``text`` are of the error that ended it."""

    stage: str
    facts: Mapping[str, Any]
    kind: str = ""
    code: str = ""
    text: str = ""


def report_of(out: str) -> Optional[Report]:
    """The last line of what the program printed; None where that is no report."""
    try:
        answer = json.loads(out.strip().rpartition("\n")[2])
    except ValueError:
        return None
    error = answer["error"] or {"type": "", "code": "", "text": ""}
    return Report(answer["stage"], answer["facts"], error["type"], error["code"], error["text"])


def fault_of(report: Report, target: Target) -> Optional[Fault]:
    """Why the program did not come to its end; None where it did."""
    if report.stage == "done":
        return None
    found = _STAGES[report.stage](report, target)
    if found.fix:
        return found
    fix = target.deploy or "read the lines below; try `psql` from this host with the same address"
    return replace(found, fix=fix)


def _driver(report: Report, target: Target) -> Fault:
    return Fault(
        "Prefect's environment has no asyncpg",
        "it is damaged, or was made without it",
        "remove it from /opt/prefect/envs and deploy again",
    )


def _name(report: Report, target: Target) -> Fault:
    host = target.place.rpartition(":")[0]
    return Fault(
        f"this host cannot resolve {host}, the name of the database host",
        "the name is wrong, or this host's DNS does not know it or does not answer",
        f"run `getent hosts {host}` on this host, or use an address instead"
        + (f" (postgres_address of {target.database_host})" if target.database_host else ""),
    )


def _port(report: Report, target: Target) -> Fault:
    if report.kind == "ConnectionRefusedError":
        return Fault(
            f"nothing is listening at {target.place}",
            "Postgres is down, uses another port, listens on other addresses only (listen_addresses), or a "
            "firewall rejects",
            target.deploy or "check on that host that it runs (`ss -ltnp`), and check host and port in database_url",
        )
    reason = f"no response from {target.place}: {report.text or report.kind}"
    cause = "a firewall drops the packets, the address is wrong, or that host is down"
    listen = (
        "`ss -ltn` on that host shows whether Postgres listens there; if it does, allow this host to reach the port"
    )
    return Fault(reason, cause, "" if target.database_host else f"{listen} (firewall, security group)")


def _login(report: Report, target: Target) -> Fault:
    text = f"{report.code} {report.kind} {report.text}"
    if re.search(r"no pg_hba\.conf entry|pg_hba\.conf rejects", text):
        return _no_entry(report, target)
    from roles.database.kinds.refusals import REFUSALS  # it travels to a host when a login failed there

    known = next((refusal for refusal in REFUSALS if re.search(refusal.pattern, text)), None)
    if known:
        return _refused(known, report, target)
    return Fault(
        f"{target.place} accepts connections, but the login fails: {report.text or report.kind}",
        "" if report.code else "another program is listening there, a proxy, or a Postgres that is too busy",
    )


def _refused(known: Refusal, report: Report, target: Target) -> Fault:
    """A login that was refused in a way that is known."""
    words = {"place": target.place, "user": target.user, "database": target.database, "tls": target.tls}
    openssl = report.text.partition("verify failed: ")[2].partition(" (_ssl")[0] or report.text
    reason, cause, fix = (
        text.format(**words, text=report.text, openssl=openssl) for text in (known.reason, known.cause, known.fix)
    )
    return Fault(reason, cause, (known.deploys and target.deploy) or fix)


def _no_entry(report: Report, target: Target) -> Fault:
    seen = re.search(r'for host "([^"]+)"', report.text)
    address = seen[1] if seen else "this host"
    reason = f"Postgres at {target.place} refuses logins from {address} as {target.user} to {target.database}"
    if target.database_host:
        fix = f"set database_client_address: {address} for this server, then deploy {target.database_host} and it"
        return Fault(reason, "its pg_hba.conf has no entry for that address", fix)
    cause = "its pg_hba.conf has no entry for that address"
    if target.tls == "off":
        cause += ", or it accepts only TLS connections"
    rule = f"hostssl {target.database} {target.user} {address}/32 scram-sha-256"
    return Fault(
        reason,
        cause,
        f"on the database server: add `{rule}` to pg_hba.conf, or add the address to its allowed networks",
    )


def _facts(report: Report, target: Target) -> Fault:
    return Fault(f"Postgres at {target.place} did not answer a simple query: {report.text}")


def _schema(report: Report, target: Target) -> Fault:
    if report.code == "25006":
        return Fault(
            f"the database {target.database} at {target.place} is read-only",
            "it is a standby, or default_transaction_read_only is on",
            "`SELECT pg_is_in_recovery()` there shows which: for a standby use the address of the primary",
        )
    if report.code == "3F000":
        return Fault(
            f"the database {target.database} has no schema that {target.user} can use",
            "the schema public was dropped, or search_path does not include it",
            f'on the database server: CREATE SCHEMA "{target.user}" AUTHORIZATION "{target.user}"',
        )
    return Fault(
        f"{target.user} may not create tables in the database {target.database}: {report.text}",
        "most likely another role owns the database: since Postgres 15 only its owner may create tables in "
        "schema public",
        target.deploy or f'on the database server: ALTER DATABASE "{target.database}" OWNER TO "{target.user}"',
    )


def _extension(report: Report, target: Target) -> Fault:
    if report.code in ("0A000", "58P01"):
        return Fault(
            "the extension pg_trgm, which Prefect needs, is not installed on the database server",
            "the contrib package is missing, or the provider does not allow the extension",
            target.deploy or "install postgresql-contrib there, or enable pg_trgm at the provider",
        )
    return Fault(
        f"{target.user} may not create the extension pg_trgm in {target.database}, where it is missing: {report.text}",
        "this requires a superuser or, since Postgres 13, the CREATE privilege on the database",
        target.deploy or f'on the database server, as superuser, in "{target.database}": CREATE EXTENSION pg_trgm',
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
