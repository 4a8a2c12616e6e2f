"""The Postgres that a client's flow runs are to be written to, as this machine reaches it."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.files.paths import expand
from encamp.resources.system import Reader, System
from encamp.shared.record import replace
from encamp.shared.secret import Secret
from roles.database.kinds.faults import Fault, Report, Target, fault_of, report_of
from roles.prefect.kinds.installs import installed
from roles.prefect.kinds.memory import memory_of, note_once

#: Seconds for each of: opening the port, the login, a question.
TIMEOUT = 8


@kind
class ClientDatabase(Resource):
    """A Postgres that this machine can reach, log in and write to, and that has free connections.

    Checked with the driver of this user's own Prefect, before the profile is replaced. ``dsn`` is the connection URL
    for the driver alone; ``host``, ``port``, ``user``, ``database`` are in it. ``tls`` is off, prefer, require or
    verify, with ``ca_file`` and ``check_hostname``. ``managed``: a server keeps the tables, so they must be there
    already. ``clients`` is how many clients the site has, ``connections`` what the temporary API of one flow may hold.
    ``way_in`` says how to give this machine access. ``brings``: encamp installs Prefect for this user before this step.
    """

    changes_host: ClassVar[bool] = False

    name: str
    dsn: Secret
    host: str
    port: int
    user: str
    database: str
    tls: str = "prefer"
    ca_file: str = ""
    check_hostname: bool = True
    managed: bool = True
    clients: int = 1
    connections: int = 5
    way_in: str = ""
    brings: bool = False

    def check(self, host: Reader) -> list[Change]:
        if memory_of(self).get("proven"):
            return []
        found = installed(host)
        if not found and self.brings:
            return [Change("prove", after=f"the database {self.database} at {self._place} is usable from this machine")]
        if not found:
            raise Refused(
                "Prefect is not installed for this user, so the database cannot be checked",
                fix="run `fab configure-client --install`: it installs the server's release for this user",
            )
        facts = self._asked(host, found[0].python)
        self._require_tables(facts)
        self._report(host, facts)
        memory_of(self)["proven"] = True
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        self.check(host)

    @property
    def _place(self) -> str:
        return f"{self.host}:{self.port}"

    def _asked(self, host: Reader, python: str) -> Any:
        """Postgres's answers about itself. Raises Failure for whatever would stop a flow."""
        from roles.database.kinds.script import SCRIPT

        result = host.query([python, "-I", "-c", SCRIPT], self._order(host), timeout=5 * TIMEOUT)
        report = report_of(result.out)
        if report is None:
            raise Failure("the database check failed: Prefect's Python returned no result", detail=result.tail)
        fault = fault_of(report, Target(self._place, self.user, self.database, self.tls, "external"))
        if fault:
            fault = self._for_a_client(fault, report)
            raise Failure(fault.reason, fault.cause, fault.fix, f"{report.code} {report.kind}: {report.text}".strip())
        return report.facts

    def _for_a_client(self, fault: Fault, report: Report) -> Fault:
        """The same with a fix for laptops: access is granted at the database, not on this machine."""
        seen = re.search(r'for host "([^"]+)"', report.text)
        if not seen or not self.way_in:
            return fault
        return replace(fault, fix=f"{self.way_in}: {seen[1]} is the address of this machine there")

    def _require_tables(self, facts: Any) -> None:
        if self.managed and not facts.get("tables", True):
            raise Refused(
                f"the database {self.database} at {self._place} has no Prefect tables yet",
                "the server has not started with this database yet, and only the server creates its tables",
                "deploy the server first (`fab deploy`)",
            )

    def _report(self, host: Reader, facts: Any) -> None:
        """Notes on this mode, given each time: few users read them in a manual."""
        free = facts["max"] - facts["reserved"]
        tables = (
            "the server manages the tables; clients of another release are refused"
            if self.managed
            else "the first client that starts creates or upgrades the tables: all clients must have the same release"
        )
        for text in (
            f"the database {self.database} at {self._place} accepts {self.user} from this machine",
            "each flow now starts its own temporary API: no UI, schedules, late runs or automations without "
            "a hosted server on the same database",
            f"the password of {self.user} is stored in this user's profile: anyone who reads it can "
            f"change all of {self.database}",
            tables,
            f"{self.clients} client(s) of this site, {self.connections} connections for each running flow; "
            f"Postgres allows {free} in total",
        ):
            note_once(self, host, text)
        if self.tls == "require":
            note_once(
                self,
                host,
                "warning: a profile cannot express database_tls: require: flows on this machine use "
                "TLS if Postgres offers it. "
                "Use verify, or a hostssl rule in pg_hba.conf that refuses unencrypted connections",
            )
        if self.clients * self.connections > free:
            note_once(self, host, "warning: one flow on each client already exceeds what Postgres allows")

    def _order(self, host: Reader) -> Secret:
        order: dict[str, Any] = {
            "dsn": self.dsn.reveal(),
            "host": self.host,
            "port": self.port,
            "timeout": TIMEOUT,
            "tls": self.tls,
            "ca_file": expand(host, self.ca_file),
            "cert_file": "",
            "key_file": "",
            "check_hostname": self.check_hostname,
        }
        return Secret(json.dumps(order))
