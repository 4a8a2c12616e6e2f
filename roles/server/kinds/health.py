"""A Prefect server that is healthy as its users see it, not only as ``/api/health`` does."""

from __future__ import annotations

import time
from typing import ClassVar, Mapping, Optional, Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_state
from encamp.shared.record import factory
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import Api, Problem
from roles.server.kinds.probes import Server, first_problem, hopeless

#: Seconds that a server may give wrong answers after a restart: the old process may still be the one that answers.
GRACE = 10.0
#: Facts that do not hold while a server does not come up.
NOT_UP = ("unit", "port", "health", "ready", "POST")
LINES = 20
NOT_LISTENING = ("port", "health")
STILL_STARTING = (
    "its unit runs and logs no error: it may be migrating a large database, wait for a lock in it, or hang",
    "`fab -H SERVER doctor` shows what the database works on and who holds a lock; if it needs more time, raise "
    "server_start_timeout",
)


@kind
class ServerHealth(Resource):
    """A Prefect server that answers, on its own port and database, with its UI and with the settings that were written.

    ``url`` is the server from the host itself, without ``/api`` (http://127.0.0.1:4200). ``public_api_url`` is the URL
    that its UI must give browsers. ``unit`` is its systemd unit. ``timeout`` is how many seconds it may take to come
    up. ``expected`` maps paths in ``/api/admin/settings`` (server.api.port) to the values written. ``version`` is the
    release that must run, ``database`` the scheme it must use: postgresql+asyncpg or sqlite+aiosqlite. ``auth`` is
    ``user:password`` where the server requires it. ``ui`` false: the server has no UI. ``ready`` false: a release
    without ``/api/ready``. ``container`` is the server's, where it runs in Docker.
    """

    changes_host: ClassVar[bool] = False
    waits: ClassVar[bool] = True

    url: str
    public_api_url: str = ""
    unit: str = ""
    timeout: int = 120
    ui: bool = True
    expected: Mapping[str, str] = factory(dict)
    version: str = ""
    database: str = ""
    auth: Optional[Secret] = None
    ready: bool = True
    container: str = ""

    def check(self, host: Reader) -> list[Change]:
        found = first_problem(host, self.server())
        return [Change(found[0], found[1].reason, "healthy")] if found else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        server = self.server()
        host.progress(f"waiting for {self.url} to be healthy")
        started = time.monotonic()

        def decided(found: Optional[tuple[str, Problem]]) -> bool:
            settled = found is not None and found[1].settled and time.monotonic() - started > GRACE
            return found is None or settled or hopeless(host, server)

        found = host.wait_for(lambda: first_problem(host, server), self.timeout, decided)
        if found:
            raise self._failure(host, *found)

    def server(self) -> Server:
        """The server as the probes know it."""
        base = self.url.rstrip("/")
        return Server(
            base,
            Api(f"{base}/api", self.auth),
            self.public_api_url,
            self.unit,
            self.ui,
            self.expected,
            self.version,
            self.database,
            self.ready,
            self.container,
        )

    def _failure(self, host: Reader, name: str, problem: Problem) -> Failure:
        """The first fact that does not hold. Where the server did not come up, its journal knows more than the outside;
        where it did, the last lines of the journal may belong to an earlier fault. So may those of an earlier start."""
        from encamp.resources.systemd.journal import journal_since_start, journal_tail
        from roles.prefect.kinds.known_failures.lookup import explain

        starting = bool(self.unit) and unit_state(host, self.unit).active
        read = journal_since_start if starting else journal_tail
        log = read(host, self.unit, LINES) if self.unit else ""
        known = explain(log) if name in NOT_UP else None
        cause, fix = (known.cause, known.fix) if known else (problem.cause, problem.fix)
        if starting and not known and name in NOT_LISTENING:
            cause, fix = STILL_STARTING
        return Failure(f"the server is not healthy ({name}): {problem.reason}", cause, fix, log)
