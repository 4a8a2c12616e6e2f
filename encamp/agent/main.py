"""The agent's entry: private channels, the lock, the loop, the final event."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Optional

from encamp.agent import limits
from encamp.agent.audit import NAME, Audit, audit_file
from encamp.agent.channel import Channel, ControllerGone
from encamp.agent.journal import HostLock, Journal, describe_holder, lock_path, state_directory
from encamp.agent.loop import Loop, failure_event
from encamp.agent.system import Host
from encamp.resources.base import Failure
from encamp.shared.secret import Redactor, Secret
from encamp.shared.wire import DRIFTED

if TYPE_CHECKING:
    from encamp.agent.saved_plan import SavedPlanChecker


def main(job: dict[str, Any], importer: Any) -> None:
    """Carry out ``job`` (see ``encamp.planning.job``). Ends the process; the last event is ``done``.

    ``importer`` is stage 0's importer of sources: it gets a way to request missing modules from the controller.
    """
    os.umask(0o022)
    limits.lift()
    _own_session()
    channel = Channel.private(Redactor(secrets_in(job)))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    importer.ask = channel.sources
    try:
        result = _outcome(job, channel)
        ran_others = result.pop("ran_others", False)
        channel.send({"event": "done", **result})
        if result["outcome"] == "ok" and job.get("keep") and not ran_others:
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
    """Start a session: the agent's children are then distinguishable from others, and have no terminal."""
    with contextlib.suppress(PermissionError):  # already the leader of one
        os.setsid()


def _outcome(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Run. A failure before the first step is reported as step ``begin``. Returns the fields of the ``done`` event."""
    try:
        return _run(job, channel)
    except Failure as failure:
        channel.send(failure_event("begin", failure, 0.0))
        return {"outcome": "failed"}


def _run(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Take the lock, unless in check mode, and run the steps. Returns the fields of the ``done`` event."""
    host = Host(channel.fetch, channel.say, job["diff"], channel.knock)
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
            channel.say("note", f"{describe_holder(lock.cut_off)} was interrupted; this run continues from there")
        return _work(job, channel, host, state)
    finally:
        lock.release()


def _work(job: dict[str, Any], channel: Channel, host: Host, state: str) -> dict[str, Any]:
    """Run the steps. Returns the fields of the ``done`` event."""
    started = time.monotonic()
    audit = Audit(f"{job['state']}/{NAME}" if job.get("state") else audit_file(host.is_root, state), job["run"])
    checker = _saved_plan_checker(job, host)
    result: dict[str, Any] = {"outcome": "ok"}
    if checker and not job["check"]:
        result = _precheck(job, channel, state, audit, checker)
    if result["outcome"] == "ok":
        loop = Loop(host, Journal(state, read_only=job["check"]), audit, channel.send, job, checker)
        result = _finish(loop, checker if job["check"] else None)
        result.update({"ran_others": True} if loop.ran_others else {})
        audit.end(result["outcome"], loop.failed)
    return {**result, "seconds": round(time.monotonic() - started, 3)}


def _finish(loop: Loop, checker: Optional[SavedPlanChecker]) -> dict[str, Any]:
    """Run a loop. With a ``checker`` the host must also be as it was when the plan was saved."""
    try:
        loop.run()
    except Failure:
        return {"outcome": "failed", "counts": loop.counts}
    drift = checker.drift() if checker else None
    return {"outcome": DRIFTED, "failure": drift} if drift else {"outcome": "ok", "counts": loop.counts}


def _saved_plan_checker(job: dict[str, Any], host: Host) -> Optional[SavedPlanChecker]:
    """The checker for the saved plan that a job makes, compares or applies; its module is sent only then."""
    if "plan" not in job:
        return None
    from encamp.agent.saved_plan import SavedPlanChecker

    return SavedPlanChecker(job["plan"], host)


def _precheck(
    job: dict[str, Any], channel: Channel, state: str, audit: Audit, checker: SavedPlanChecker
) -> dict[str, Any]:
    """Before a saved plan is applied: check every step as the plan did, and report only a failed one."""

    def report(event: dict[str, Any]) -> None:
        if event.get("status") == "failed":
            channel.send(event)

    quiet = Host(channel.fetch, lambda *message: None, want_diff=True)
    return _finish(Loop(quiet, Journal(state, read_only=True), audit, report, {**job, "check": True}, checker), checker)


def secrets_in(data: Any) -> list[Secret]:
    """Every secret value in a job."""
    if isinstance(data, dict):
        if "$secret" in data:
            return [Secret(data["$secret"])]
        return [secret for item in data.values() for secret in secrets_in(item)]
    if isinstance(data, list):
        return [secret for item in data for secret in secrets_in(item)]
    return []
