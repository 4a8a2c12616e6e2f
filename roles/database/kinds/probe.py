"""Verifies that a Prefect server can work with its Postgres, before it is started."""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar, Sequence, Union

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_state
from encamp.shared.secret import Secret
from roles.prefect.kinds.memory import memory_of, note_once

#: Seconds for each of: opening the port, the login, a question.
TIMEOUT = 8


@kind
class DatabaseProbe(Resource):
    """A Postgres that this host can reach and log in to, and where it may create tables and pg_trgm.

    ``url`` is the connection URL as the server gets it, ``dsn`` the same for its driver alone; ``host`` (empty: no one
    address) and ``port`` are in it. ``python`` is the interpreter of Prefect's environment, ``as_user`` the service's
    user. ``user`` and ``database`` are for texts; ``database_host`` is the host of the inventory that keeps the
    database (empty: encamp does not manage it). ``tls`` is off, prefer, require or verify, with ``ca_file``,
    ``cert_file``, ``key_file`` and ``check_hostname``. ``connections`` is how many may be open at once by all processes
    that share the server; ``version`` the least one as Postgres counts them (140009; 0: any).

    Nothing is checked while ``unit`` runs with this URL: ``environment`` is the file with the unit's URL.
    """

    changes_host: ClassVar[bool] = False

    name: str
    url: Union[str, Secret]
    dsn: Union[str, Secret] = ""
    host: str = ""
    port: int = 5432
    python: str = "python3"
    as_user: str = ""
    user: str = ""
    database: str = ""
    database_host: str = ""
    tls: str = "prefer"
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    check_hostname: bool = True
    connections: int = 0
    version: int = 0
    unit: str = ""
    environment: str = ""

    def check(self, host: Reader) -> list[Change]:
        if memory_of(self).get("proven") or self._is_in_use(host):
            return []
        return [Change("prove", after=f"the database {self.database} at {self._place} is usable")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        from roles.database.kinds import faults, limits

        host.progress(f"checking the database at {self._place}")
        report = self._ask(host)
        target = faults.Target(self._place, self.user, self.database, self.tls, self.database_host)
        fault = faults.fault_of(report, target)
        if fault:
            raise Failure(fault.reason, fault.cause, fault.fix, f"{report.code} {report.kind}: {report.text}".strip())
        found = limits.fault_of(report.facts, target, self.connections, self.version)
        if found:
            raise Refused(found.reason, found.cause, found.fix)
        for text in limits.notes(report.facts, target, self.connections):
            note_once(self, host, text)
        memory_of(self)["proven"] = True

    @property
    def _place(self) -> str:
        if self.host.startswith("/"):
            return self.host
        return f"{self.host}:{self.port}" if self.host else "the addresses of database_url"

    def _is_in_use(self, host: Reader) -> bool:
        """Whether the unit was started with this URL, and since its files were last written."""
        state = unit_state(host, self.unit) if self.unit else None
        text = (host.read(self.environment) or b"").decode("utf-8", "replace") if self.environment else ""
        if state is None or not state.active or _revealed(self.url) not in text:
            return False
        begun = time.time() - time.monotonic() + state.begun
        files = (self.environment, self.ca_file, self.cert_file, self.key_file)
        found = [host.stat(path) for path in files if path]
        return all(stat is not None and stat.mtime <= begun for stat in found)

    def _ask(self, host: Reader) -> Any:
        """The result of the probe's program. Raises Failure when it cannot be run."""
        from roles.database.kinds.faults import report_of
        from roles.database.kinds.script import SCRIPT

        result = host.query([self.python, "-I", "-c", SCRIPT], self._order(), as_user=self.as_user, timeout=5 * TIMEOUT)
        report = report_of(result.out)
        if report is None:
            raise Failure(
                "the database check failed: Prefect's Python returned no result",
                "its environment is damaged, or the host is overloaded",
                f"run `{self.python} -c 'import asyncpg'`",
                result.tail,
            )
        return report

    def _order(self) -> Secret:
        order = {
            "dsn": _revealed(self.dsn),
            "host": self.host,
            "port": self.port,
            "timeout": TIMEOUT,
            "tls": self.tls,
            "ca_file": self.ca_file,
            "cert_file": self.cert_file,
            "key_file": self.key_file,
            "check_hostname": self.check_hostname,
        }
        return Secret(json.dumps(order))


def _revealed(text: Union[str, Secret]) -> str:
    return text.reveal() if isinstance(text, Secret) else text
