"""A work pool of the hosted server."""

from __future__ import annotations

from typing import Any, Optional, Sequence
from urllib.parse import quote

from encamp.resources.base import Change, Reader, Refused, Resource, System, kind
from encamp.shared.secret import Secret
from roles.kinds.prefect_api import Api, problem_of


@kind
class WorkPool(Resource):
    """A work pool that exists on the server, with its type and concurrency limit. Never deleted, never unpaused.

    ``type`` is the infrastructure its workers use (process). ``api_url`` ends in ``/api``; ``auth`` is
    ``user:password`` where the server asks for it. ``concurrency_limit`` is how many runs the pool executes at a time;
    None: no limit.
    """

    name: str
    type: str = "process"
    api_url: str = ""
    auth: Optional[Secret] = None
    concurrency_limit: Optional[int] = None
    ca_file: str = ""

    def check(self, host: Reader) -> list[Change]:
        pool = self._read(host)
        if pool is None:
            return [Change("work pool", "absent", f"{self.name} ({self.type})")]
        if pool["type"] != self.type:
            raise Refused(
                f"work pool {self.name} is of type {pool['type']}, not {self.type}",
                "a pool's type cannot be changed",
                f"declare type {pool['type']}, choose another name, or delete the pool and its queues by hand",
            )
        if pool.get("concurrency_limit") != self.concurrency_limit:
            return [Change("concurrency limit", _limit(pool.get("concurrency_limit")), _limit(self.concurrency_limit))]
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if any(change.what == "work pool" for change in changes):
            body = {
                "name": self.name,
                "type": self.type,
                "concurrency_limit": self.concurrency_limit,
                "base_job_template": self._template(host),
            }
            answer = self._api.patient(host, "POST", "work_pools/", body)
            problem = problem_of(answer, "POST", self._api.address("work_pools/"))
            if problem and answer.status != 409:  # 409: someone else, a worker perhaps, made it meanwhile
                raise problem.failure()
            return
        self._api.must(host, "PATCH", self._path, {"concurrency_limit": self.concurrency_limit})

    @property
    def _api(self) -> Api:
        return Api(self.api_url, self.auth, self.ca_file)

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

    def _read(self, host: Reader) -> Optional[dict[str, Any]]:
        answer = self._api.call(host, "GET", self._path)
        if answer.status == 404 and b"not found" in answer.body and b'"Not Found"' not in answer.body:
            return None
        problem = problem_of(answer, "GET", self._api.address(self._path))
        if problem:
            raise problem.failure()
        found: dict[str, Any] = answer.json()
        return found


def _limit(value: Optional[int]) -> str:
    return "none" if value is None else str(value)
