"""The Prefect API, as this machine reaches it."""

from __future__ import annotations

from typing import ClassVar, Optional, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import HttpAnswer, Reader, System
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import Api, Problem, problem_of
from roles.prefect.kinds.memory import memory_of, note_once

TIMEOUT = 10.0


@kind
class ClientApi(Resource):
    """The Prefect API at ``url`` answers this machine: name, port, ``/health``, a real query, its version.

    ``url`` ends in ``/api``. ``auth`` is ``user:password`` where the server asks for it, ``ca_file`` the certificate
    authorities to trust ("": the system's). ``timeout`` is how many seconds it may take to answer.
    """

    changes_host: ClassVar[bool] = False

    url: str
    auth: Optional[Secret] = None
    ca_file: str = ""
    timeout: int = 20

    def check(self, host: Reader) -> list[Change]:
        problem = self._problem(host)
        return [Change("answers", problem.reason, "yes")] if problem else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.progress(f"waiting for {self.url} to answer")
        problem = host.wait_for(
            lambda: self._problem(host), self.timeout, done=lambda problem: problem is None or problem.settled, every=1
        )
        if problem:
            raise problem.failure()

    def _problem(self, host: Reader) -> Optional[Problem]:
        """The first thing that does not work; None when all does."""
        api = Api(self.url, self.auth, self.ca_file)
        health = api.call(host, "GET", "health", timeout=TIMEOUT)
        problem = problem_of(health, "GET", api.address("health"))
        if problem or health.body.strip() != b"true":
            return problem or _stranger(api.address("health"))
        runs = api.call(host, "POST", "flow_runs/filter", {"limit": 1}, timeout=TIMEOUT)
        problem = problem_of(runs, "POST", api.address("flow_runs/filter"))
        if problem or not isinstance(_json(runs), list):
            return problem or _stranger(api.address("flow_runs/filter"))
        version = api.call(host, "GET", "admin/version", timeout=TIMEOUT)
        problem = problem_of(version, "GET", api.address("admin/version"))
        if not problem:
            memory_of(self)["version"] = str(_json(version))
            note_once(self, host, f"{self.url} is reachable from this machine: Prefect {_json(version)}")
        return problem


def _stranger(address: str) -> Problem:
    return Problem(
        f"{address} responds, but not like a Prefect API",
        "/api is missing from the URL (the UI responds there), or another program is listening",
        "the API URL must end in /api; if it does, `curl -i URL/health` shows what answers there",
        settled=True,
    )


def _json(answer: HttpAnswer) -> object:
    try:
        found: object = answer.json()
        return found
    except ValueError:
        return None
