"""What a saved plan holds of one session on one host: each step, its declared state, and what it found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from encamp.planning.plan import HostPlan, resource_wire, step_wire
from encamp.planning.saved_plan import SHOWN, canonical
from encamp.planning.saved_plan_key import PlanKey
from encamp.shared.record import replace
from encamp.shared.wire import BlobStore

NOT_DUE = "not due"


def declared(plan: HostPlan, stages: Sequence[str], key: PlanKey) -> dict[str, Any]:
    """The declared state of a host, without its current one: ids, kinds, and a hash of each declaration."""
    store = BlobStore()
    wires = [step_wire(item, store) for item in plan.items]
    handlers = [(handler.id, resource_wire(handler, store)) for handler in plan.handlers]
    steps = [(wire["id"], wire) for wire in wires if "id" in wire]
    return {
        "host": plan.host,
        "stages": list(stages),
        "desired": desired([wires, handlers], key),
        "steps": [_step(step_id, wire["resource"]["kind"], desired(wire, key)) for step_id, wire in steps],
        "handlers": [_step(step_id, wire["kind"], desired(wire, key)) for step_id, wire in handlers],
    }


def _step(step_id: str, kind: str, digest: str) -> dict[str, Any]:
    return {"id": step_id, "kind": kind, "desired": digest}


def with_findings(job: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The same, each step with its status, the keyed hash of what it found, and what would change."""
    return {**job, **{part: [_with_finding(step, found) for step in job[part]] for part in ("steps", "handlers")}}


def _with_finding(step: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    event = found.get(step["id"])
    if event is None:
        return {**step, "status": NOT_DUE}
    shown = {"changes": event["changes"]} if event["changes"] else {}
    mark = {"found": event["found"]} if event["found"] else {}
    return {**step, "status": event["status"], **mark, **shown}


def expected(job: Mapping[str, Any]) -> dict[str, list[str]]:
    """What the agent compares with: status and hash of every step that the plan looked at."""
    looked = [step for step in [*job["steps"], *job["handlers"]] if step["status"] != NOT_DUE]
    return {step["id"]: [step["status"], step.get("found", "")] for step in looked}


def desired(wire: Any, key: PlanKey) -> str:
    """The hash of what is declared; a keyed one where a secret is in it, which else could be guessed and compared."""
    text = canonical(wire)
    if _holds_secret(wire):
        return "hmac-sha256:" + key.mac("desired", text)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _holds_secret(wire: Any) -> bool:
    if isinstance(wire, dict):
        blob = wire.get("$blob")
        return "$secret" in wire or bool(blob and blob[2]) or any(map(_holds_secret, wire.values()))
    return isinstance(wire, (list, tuple)) and any(map(_holds_secret, wire))


def differences(planned: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the files give another plan than the saved one, a line each; empty where they give the same."""
    then = {(job["host"], tuple(job["stages"])): job for job in planned}
    here = {(job["host"], tuple(job["stages"])): job for job in now}
    lines = []
    for place in {**then, **here}:
        if place not in here or place not in then:
            lines.append(f"{place[0]}: {', '.join(place[1])} is {'missing' if place in then else 'new'} now")
        elif then[place]["desired"] != here[place]["desired"]:
            lines += _job_differences(then[place], here[place])
    if [*then] != [*here] and not lines:
        lines.append("the order of hosts has changed")
    return lines if len(lines) <= SHOWN else [*lines[:SHOWN], f"and {len(lines) - SHOWN} more"]


def _job_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    before, after = _digests(then), _digests(now)
    words = {(True, False): "is gone", (False, True): "is new", (True, True): "has changed"}
    lines = [
        f"{then['host']}: {step} {words[step in before, step in after]}"
        for step in {**before, **after}
        if before.get(step) != after.get(step)
    ]
    return lines or [f"{then['host']}: the order of steps has changed"]


def _digests(job: Mapping[str, Any]) -> dict[str, str]:
    return {step["id"]: step["desired"] for step in [*job["steps"], *job["handlers"]]}


def with_plan(plan: HostPlan, plan_id: str, key: PlanKey, job: Mapping[str, Any] | None = None) -> HostPlan:
    """The plan of a host as part of the saved plan that is being made, or, with its ``job``, compared or applied."""
    saved: dict[str, Any] = {"id": plan_id, "key": key.of_plan(plan_id)}
    return replace(plan, saved=saved if job is None else {**saved, "expected": expected(job)})


def changing(jobs: Sequence[Mapping[str, Any]], status: str = "changed") -> int:
    """How many steps and handlers of a plan have a status."""
    return sum(step["status"] == status for job in jobs for step in [*job["steps"], *job["handlers"]])
