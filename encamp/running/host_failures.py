"""How a host's part in a run may fail: its status, and why."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from encamp.errors import BecomeRefused, EncampError, Unreachable
from encamp.output.outcome import Failure, Outcome
from encamp.transport.events import Status
from encamp.transport.launch_errors import AgentEnded


def of_error(error: Exception, outcome: Outcome, stopped: bool) -> tuple[Status, Failure]:
    """Status and failure of a host whose run raised. ``stopped``: by the operator. Counts the failure."""
    if stopped:
        return "interrupted", interruption(outcome)
    if isinstance(error, Unreachable):
        return "unreachable", Failure(outcome.step, error.message, fix=error.fix)
    outcome.counts["failed"] += 1
    if isinstance(error, EncampError):
        return "failed", Failure(_step_of(error, outcome), error.message, fix=error.fix)
    return "failed", _bug(error)


def _step_of(error: EncampError, outcome: Outcome) -> str:
    """Where a host failed that sent no event of its own for it."""
    if isinstance(error, BecomeRefused):
        return "become root"
    return outcome.step if isinstance(error, AgentEnded) and outcome.step else "start the agent"


def interruption(outcome: Outcome) -> Failure:
    """That of a host that was at work when the operator stopped the run."""
    if outcome.step:
        reason = "the run was stopped; the host finishes this step and starts no other"
    else:
        reason = "the run was stopped before it started anything here"
    return Failure(outcome.step, reason, fix="run again: it continues where it stopped")


def _bug(error: Exception) -> Failure:
    """What encamp did not foresee on the controller, with its place; other hosts go on."""
    import traceback

    return Failure(
        "controller",
        f"{type(error).__name__}: {error}",
        "a bug in encamp",
        "report it with the lines below",
        "".join(traceback.format_exception(error)),
    )


def lock_failure(holder: Mapping[str, Any]) -> Failure:
    """That of a host whose lock another run holds: who, from where, since when, what."""
    since = datetime.datetime.fromtimestamp(holder.get("since", 0)).astimezone().isoformat(timespec="seconds")
    return Failure(
        "",
        f"another run is working there: {holder.get('command', 'unknown')} by {holder.get('who', 'unknown')} "
        f"from {holder.get('from', 'unknown')}, since {since}, pid {holder.get('pid', '?')} on the host",
        fix="wait until it has ended (--wait SECONDS does), then run again; the lock ends with its process",
    )
