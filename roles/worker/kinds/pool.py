"""A work pool of the hosted server."""

from __future__ import annotations

import json
from typing import Any, Optional, Sequence
from urllib.parse import quote

from encamp.resources.base import Change, Refused, kind
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import problem_of
from roles.prefect.kinds.api_kind import ServerObject
from roles.worker.kinds.api_objects import differences, read


@kind
class WorkPool(ServerObject):
    """A work pool that exists on the server, with its type and what else is declared of it. Never deleted.

    ``type`` is the infrastructure its workers use (process). ``api_url`` ends in ``/api``; ``auth`` is
    ``user:password`` where the server requires it. ``concurrency_limit`` is how many runs the pool executes at a time;
    None: no limit. ``paused``, ``description``, ``base_job_template`` (JSON): None: as they are on the server.
    ``exists_only``: whatever its settings are, they stay. ``any_type``: ``type`` is for a new pool only.
    """

    name: str
    type: str = "process"
    api_url: str = ""
    auth: Optional[Secret] = None
    concurrency_limit: Optional[int] = None
    ca_file: str = ""
    paused: Optional[bool] = None
    description: Optional[str] = None
    base_job_template: Optional[str] = None
    exists_only: bool = False
    any_type: bool = False
    prefix: str = ""

    def check(self, host: Reader) -> list[Change]:
        pool = read(host, self._api, self._path)
        if pool is None:
            return [Change("work pool", "absent", f"{self.name} ({self.type})")]
        if pool["type"] != self.type and not self.any_type:
            raise Refused(
                f"work pool {self.name} is of type {pool['type']}, not {self.type}",
                "a pool's type cannot be changed",
                f"declare type {pool['type']}, choose another name, or delete the pool and its queues by hand",
            )
        if self.exists_only:
            return []
        return differences(pool, self._wanted())

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if any(change.what == "work pool" for change in changes):
            self._create(host)
        else:
            self._api.must(host, "PATCH", self._path, self._wanted())

    def _create(self, host: System) -> None:
        body = {"name": self.name, "type": self.type, "base_job_template": self._template(host), **self._wanted()}
        answer = self._api.persistent(host, "POST", "work_pools/", body)
        problem = problem_of(answer, "POST", self._api.address("work_pools/"))
        if answer.status == 409:  # someone else, a worker perhaps, made it meanwhile
            if not self.exists_only:
                self._api.must(host, "PATCH", self._path, self._wanted())
        elif problem:
            raise problem.failure()

    def _wanted(self) -> dict[str, Any]:
        """What is declared, as the API writes it."""
        wanted: dict[str, Any] = {} if self.exists_only else {"concurrency_limit": self.concurrency_limit}
        given = {"is_paused": self.paused, "description": self.description}
        wanted.update((name, value) for name, value in given.items() if value is not None)
        if self.base_job_template is not None:
            wanted["base_job_template"] = json.loads(self.base_job_template)
        return wanted

    @property
    def _path(self) -> str:
        return f"work_pools/{quote(self.name, safe='')}"

    def _template(self, host: Reader) -> Any:
        """The job template of this type, from the server's own collection. Without it a first worker fills it in."""
        answer = self._api.call(host, "GET", "collections/views/aggregate-worker-metadata")
        try:
            types = [kinds[self.type] for kinds in answer.json().values() if self.type in kinds]
            return types[0]["default_base_job_configuration"]
        except (ValueError, LookupError, AttributeError, TypeError):
            return {}
