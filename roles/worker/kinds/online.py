"""Verifies that a worker reaches its server."""

from __future__ import annotations

from typing import Any, ClassVar, Optional, Sequence
from urllib.parse import quote

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import Api


@kind
class WorkerOnline(Resource):
    """A worker that its server has heard from recently: a running process may still hang or be disconnected.

    ``key``: pool and name of the worker, as ``pool/name``. ``api_url`` ends in ``/api``; ``auth`` is ``user:password``
    where the server requires it. ``unit``: the worker's, for its journal in failures. ``timeout``: seconds to wait.
    """

    changes_host: ClassVar[bool] = False

    key: str
    pool: str
    worker: str
    api_url: str = ""
    auth: Optional[Secret] = None
    ca_file: str = ""
    unit: str = ""
    timeout: int = 90

    def check(self, host: Reader) -> list[Change]:
        status = self._status(host)
        return (
            []
            if status == "ONLINE" or self._is_drained(host)
            else [Change("worker", status.lower() or "unknown to the server", "online")]
        )

    def _is_drained(self, host: Reader) -> bool:
        """Whether it is to be offline."""
        from encamp.resources.systemd.halted import drained

        return bool(self.unit and drained(host, self.unit))

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.progress(f"waiting until worker {self.worker} of pool {self.pool} is online")
        if not host.wait_for(lambda: self._status(host) == "ONLINE", self.timeout, every=1.0):
            from encamp.resources.systemd.journal import journal_tail

            raise Failure(
                f"the server has not heard from worker {self.worker} of pool {self.pool} within {self.timeout} s",
                "it cannot reach the API, or it hangs",
                f"read its journal: journalctl -u {self.unit} -e; then systemctl restart {self.unit}",
                journal_tail(host, self.unit),
            )

    def _status(self, host: Reader) -> str:
        """ONLINE, OFFLINE, or empty for a worker that the server does not know."""
        workers = host.once(f"workers:{self.api_url}:{self.pool}", lambda: self._workers(host))
        found = next((worker for worker in workers if worker.get("name") == self.worker), None)
        # Releases that do not judge (before 2.14) list those they have heard from.
        return "" if found is None else str(found.get("status") or "ONLINE")

    def _workers(self, host: Reader) -> list[dict[str, Any]]:
        """The pool's workers, asked once for all of a host. One that is new has made neither itself nor its pool."""
        api = Api(self.api_url, self.auth, self.ca_file)
        path = f"work_pools/{quote(self.pool, safe='')}/workers/filter"
        found: list[dict[str, Any]] = api.must(host, "POST", path, {})
        return found
