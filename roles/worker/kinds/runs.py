"""The flow runs whose processes belong to a unit: found on the host itself, so that it works for every release."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from encamp.resources.system import Reader
from encamp.resources.systemd.unit_state import unit_name
from encamp.shared.record import record
from roles.prefect.kinds.api import Api

#: How workers and agents of every release since 2.0 pass the flow run's id to a process.
VARIABLE = b"PREFECT__FLOW_RUN_ID="
SHOWN = 8


@record
class FlowRun:
    """A flow run by its id, with its name and the type of its state from the server, if it answers."""

    id: str
    name: str = ""
    state: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.id})" if self.name else self.id


def running(host: Reader, unit: str) -> list[str]:
    """Ids of the flow runs that have a process in the control group of ``unit``; in order, each once."""
    found = set()
    for pid in host.listdir("/proc"):
        if pid.isdigit() and _belongs(host, pid, unit_name(unit)):
            run = _flow_run(host.read(f"/proc/{pid}/environ") or b"")
            found |= {run} if run else set()
    return sorted(found)


def _belongs(host: Reader, pid: str, unit: str) -> bool:
    """Whether a process is of a unit. A line is ``0::/system.slice/NAME``, with older systems one a controller."""
    groups = (host.read(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "replace").splitlines()
    return any(unit in line.split("/") for line in groups)


def _flow_run(environment: bytes) -> str:
    import uuid

    for variable in environment.split(b"\0"):
        if variable.startswith(VARIABLE):
            try:
                return str(uuid.UUID(variable[len(VARIABLE) :].decode("ascii", "replace")))
            except ValueError:
                return ""
    return ""


def named(host: Reader, api: Api, ids: Sequence[str]) -> list[FlowRun]:
    """The same with names and states. Also where the server is unknown or down."""
    if not ids or not api.url:
        return [FlowRun(run) for run in ids]
    answer = api.call(host, "POST", "flow_runs/filter", {"flow_runs": {"id": {"any_": list(ids)}}})
    known: Mapping[str, Any] = {}
    if answer.status == 200:
        known = {str(run["id"]): run for run in answer.json()}
    return [_one(run, known.get(run, {})) for run in ids]


def _one(run: str, known: Mapping[str, Any]) -> FlowRun:
    return FlowRun(run, str(known.get("name") or ""), str(known.get("state_type") or ""))


def listed(runs: Sequence[FlowRun]) -> str:
    """Flow runs in a few words."""
    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    return ", ".join(map(str, runs[:SHOWN])) + more
