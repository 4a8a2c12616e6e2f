"""The agent's entry: private channels, the lock, the loop, the final event."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Optional

from encamp.agent.audit import NAME, Audit, audit_file
from encamp.agent.channel import Channel, ControllerGone
from encamp.agent.journal import HostLock, Journal, lock_path, state_directory, told
from encamp.agent.loop import Loop, failure_event
from encamp.agent.system import Host
from encamp.resources.base import Failure
from encamp.shared.secret import Redactor, Secret

if TYPE_CHECKING:
    from encamp.agent.saved_plan import Guard


def main(job: dict[str, Any], importer: Any) -> None:
    """Carry out ``job`` (see ``encamp.planning.plan.job_for``). Ends the process; the last event is ``done``.

    ``importer`` is stage 0's importer of sources: it is told how to ask the controller for modules it lacks.
    """
    os.umask(0o022)
    _own_session()
    channel = Channel.private(Redactor(secrets_in(job)))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    importer.ask = channel.sources
    try:
        result = _outcome(job, channel)
        channel.send({"event": "done", **result})
        if result["outcome"] == "ok" and job.get("keep"):
            from encamp.agent import code_cache

            code_cache.keep(importer)
    except ControllerGone:
        sys.exit(4)
    except Exception as error:
        import traceback

        channel.send({"event": "crash", "reason": repr(error), "detail": traceback.format_exc()})
        sys.exit(5)
    sys.stdout.flush()
    os._exit(0)


def _own_session() -> None:
    """Leave the session of whoever started us: our children are then told from others, and none has a terminal."""
    with contextlib.suppress(PermissionError):  # it is our own already
        os.setsid()


def _outcome(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Run. What fails before the first step is told like a step. Returns the fields of the ``done`` event."""
    try:
        return _run(job, channel)
    except Failure as failure:
        channel.send(failure_event("begin", failure, 0.0))
        return {"outcome": "failed"}


def _run(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Take the lock, unless nothing is to be changed, and work. Returns the fields of the ``done`` event."""
    host = Host(channel.fetch, channel.say, job["diff"])
    state = job.get("state") or state_directory(host.is_root, host.home)
    channel.start_heartbeat()
    if job["check"]:
        return _work(job, channel, host, state)
    lock = HostLock(f"{state}/lock" if job.get("state") else lock_path(host.is_root, host.home))
    holder = lock.wait(job["run"], job.get("wait", 0), lambda text: channel.say("progress", text))
    if holder is not None:
        return {"outcome": "locked", "holder": holder}
    try:
        if lock.cut_off:
            channel.say("note", f"{told(lock.cut_off)} was cut off; this run goes on from there")
        return _work(job, channel, host, state)
    finally:
        lock.release()


def _work(job: dict[str, Any], channel: Channel, host: Host, state: str) -> dict[str, Any]:
    """Work through the steps. Returns the fields of the ``done`` event."""
    started = time.monotonic()
    audit = Audit(f"{job['state']}/{NAME}" if job.get("state") else audit_file(host.is_root, state), job["run"])
    guard = _guard(job, host)
    result: dict[str, Any] = {"outcome": "ok"}
    if guard and not job["check"]:
        result = _looked_through(job, channel, state, audit, guard)
    if result["outcome"] == "ok":
        loop = Loop(host, Journal(state, read_only=job["check"]), audit, channel.send, job, guard)
        result = _ended(loop, guard if job["check"] else None)
        audit.end(result["outcome"], loop.failed)
    return {**result, "seconds": round(time.monotonic() - started, 3)}


def _ended(loop: Loop, guard: Optional[Guard]) -> dict[str, Any]:
    """Run a loop. With a ``guard`` the host must also be as its saved plan found it."""
    try:
        loop.run()
    except Failure:
        return {"outcome": "failed", "counts": loop.counts}
    moved = guard.moved() if guard else None
    return {"outcome": "moved on", "failure": moved} if moved else {"outcome": "ok", "counts": loop.counts}


def _guard(job: dict[str, Any], host: Host) -> Optional[Guard]:
    """What stands for the saved plan that a job makes, compares or applies; its module travels only then."""
    if "plan" not in job:
        return None
    from encamp.agent.saved_plan import Guard

    return Guard(job["plan"], host)


def _looked_through(job: dict[str, Any], channel: Channel, state: str, audit: Audit, guard: Guard) -> dict[str, Any]:
    """Before a saved plan is applied: look at every step as the plan did, and tell only of one that fails."""

    def tell(event: dict[str, Any]) -> None:
        if event.get("status") == "failed":
            channel.send(event)

    quiet = Host(channel.fetch, lambda *said: None, want_diff=True)
    return _ended(Loop(quiet, Journal(state, read_only=True), audit, tell, {**job, "check": True}, guard), guard)


def secrets_in(data: Any) -> list[Secret]:
    """Every secret value of a job, wherever it stands."""
    if isinstance(data, dict):
        if "$secret" in data:
            return [Secret(data["$secret"])]
        return [secret for item in data.values() for secret in secrets_in(item)]
    if isinstance(data, list):
        return [secret for item in data for secret in secrets_in(item)]
    return []
