"""How a host's part in a run may end, other than well: its status, what is told of it, and the exit code."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from encamp.errors import BecomeRefused, EncampError, Unreachable
from encamp.output.outcome import Outcome
from encamp.transport.launch_errors import AgentEnded


def of_error(error: Exception, outcome: Outcome, stopped: bool) -> tuple[str, dict[str, Any]]:
    """Status and failure of a host whose run raised. ``stopped``: by the operator. Counts the failure."""
    if stopped:
        return "interrupted", interruption(outcome)
    if isinstance(error, Unreachable):
        return "unreachable", {"step": outcome.step, **_failure_data(error)}
    outcome.counts["failed"] += 1
    if isinstance(error, EncampError):
        return "failed", {"step": _step_of(error, outcome), **_failure_data(error)}
    return "failed", _bug(error)


def _step_of(error: EncampError, outcome: Outcome) -> str:
    """Where a host failed that sent no event of its own for it."""
    if isinstance(error, BecomeRefused):
        return "become root"
    return outcome.step if isinstance(error, AgentEnded) and outcome.step else "start the agent"


def _failure_data(error: EncampError) -> dict[str, Any]:
    return {"reason": error.message, "fix": error.fix}


def interruption(outcome: Outcome) -> dict[str, Any]:
    """What is told of a host that was under way when the operator stopped the run."""
    return {
        "step": outcome.step,
        "reason": "stopped by you; the host ends this step by itself and begins no other"
        if outcome.step
        else "stopped by you before anything was begun",
        "fix": "run again: it continues where it was stopped",
    }


def _bug(error: Exception) -> dict[str, Any]:
    """What encamp did not foresee on the controller, told with its place; other hosts go on."""
    import traceback

    return {
        "step": "controller",
        "reason": f"{type(error).__name__}: {error}",
        "cause": "a bug of encamp",
        "fix": "report it with the lines below",
        "detail": "".join(traceback.format_exception(error)),
    }


def lock_failure(holder: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a host whose lock another run holds: who, from where, since when, what."""
    since = datetime.datetime.fromtimestamp(holder.get("since", 0)).astimezone().isoformat(timespec="seconds")
    return {
        "reason": f"another run is at work there: {holder.get('command', 'unknown')} by {holder.get('who', 'unknown')} "
        f"from {holder.get('from', 'unknown')}, since {since}, pid {holder.get('pid', '?')} on the host",
        "fix": "wait until it has ended (--wait SECONDS does), then run again; the lock ends with its process",
    }
