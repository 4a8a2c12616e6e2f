"""A queue of a work pool, or one of those that the agents of Prefect 2 poll."""

from __future__ import annotations

from typing import Any, Optional, Sequence
from urllib.parse import quote

from encamp.resources.base import Change, kind
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import problem_of
from roles.prefect.kinds.api_kind import ApiKind
from roles.worker.kinds.api_objects import differences, read


@kind
class WorkQueue(ApiKind):
    """A work queue that exists on the server, with what is declared of it. Never deleted; a manual pause is kept.

    ``key`` is ``pool/queue``, which is unique on a server; ``pool`` empty: a queue for agents, without a pool.
    ``api_url`` ends in ``/api``; ``auth`` is ``user:password`` where the server requires it. ``priority``: 1 comes
    first; None: as it is. ``concurrency_limit``: runs at a time; None: no limit. ``description``: None: as it is.
    ``exists_only``: whatever its settings are, they stay.

    Priorities are unique in a pool: the server moves the queues behind a changed one. Declared in the order of their
    priorities, each is right when it has been set, and no later one moves it.
    """

    key: str
    name: str
    pool: str = ""
    api_url: str = ""
    auth: Optional[Secret] = None
    ca_file: str = ""
    priority: Optional[int] = None
    concurrency_limit: Optional[int] = None
    description: Optional[str] = None
    exists_only: bool = False

    def check(self, host: Reader) -> list[Change]:
        queue = self._read(host)
        if queue is None:
            return [Change("work queue", "absent", self.name)]
        return [] if self.exists_only else differences(queue, self._wanted())

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if not any(change.what == "work queue" for change in changes):
            self._api.must(host, "PATCH", f"{self._below}/{quote(self.name, safe='')}", self._wanted())
            return
        body = {"name": self.name, **self._wanted()}
        answer = self._api.persistent(host, "POST", f"{self._below}/", body)
        problem = problem_of(answer, "POST", self._api.address(self._below))
        if problem and answer.status != 409:  # 409: an agent made it meanwhile; the second check sees what it lacks
            raise problem.failure()

    def _wanted(self) -> dict[str, Any]:
        if self.exists_only:
            return {}
        given = {"priority": self.priority, "description": self.description}
        return {
            "concurrency_limit": self.concurrency_limit,
            **{name: value for name, value in given.items() if value is not None},
        }

    def _read(self, host: Reader) -> Optional[dict[str, Any]]:
        """The queue. Those of a pool are read all at once, once until something changes."""
        if not self.pool:
            return read(host, self._api, f"work_queues/name/{quote(self.name, safe='')}")
        queues = host.once(f"queues:{self.api_url}:{self.pool}", lambda: self._all(host))
        return next((queue for queue in queues if queue["name"] == self.name), None)

    def _all(self, host: Reader) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self._api.must(host, "POST", f"{self._below}/filter", {"offset": len(found)})
            found += page or []
            if len(page or []) < 100:  # the server's own limit is 200 unless it is told otherwise
                return found

    @property
    def _below(self) -> str:
        return f"work_pools/{quote(self.pool, safe='')}/queues" if self.pool else "work_queues"
