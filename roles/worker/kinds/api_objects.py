"""Things of Prefect's API, read and compared with what is declared of them."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional

from encamp.resources.base import Change
from encamp.resources.system import Reader
from roles.prefect.kinds.api import Api, problem_of


def read(host: Reader, api: Api, path: str) -> Optional[dict[str, Any]]:
    """Something of the API; None where the server says that it does not exist. Raises Failure.

    A 404 for a path that the server does not know at all is a failure: another program answers, or /api is missing.
    """
    answer = api.persistent(host, "GET", path)
    if answer.status == 404 and b"not found" in answer.body.lower() and b'"Not Found"' not in answer.body:
        return None
    problem = problem_of(answer, "GET", api.address(path))
    if problem:
        raise problem.failure()
    found: Optional[dict[str, Any]] = answer.json()
    return found


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Change]:
    """One change for each aspect of something on the server that is not as declared."""
    return [
        Change(name.replace("is_", "").replace("_", " "), shown(found.get(name)), shown(value))
        for name, value in wanted.items()
        if found.get(name) != value
    ]


def shown(value: Any) -> str:
    """A value for people; long ones (a job template) only by their kind."""
    if value is None or value == "":
        return "none"
    if isinstance(value, dict):
        return f"a template of {len(json.dumps(value))} characters"
    return str(value).lower() if isinstance(value, bool) else str(value)
