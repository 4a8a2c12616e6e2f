"""The agent's entry: private channels, the lock, the loop, the final event."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from typing import Any

from encamp.agent.audit import NAME, Audit, audit_file
from encamp.agent.channel import Channel, ControllerGone
from encamp.agent.journal import HostLock, Journal, lock_path, state_directory, told
from encamp.agent.loop import Loop, failure_event
from encamp.agent.system import Host
from encamp.resources.base import Failure
from encamp.shared.secret import Redactor, Secret


def main(job: dict[str, Any], importer: Any) -> None:
    """Carry out ``job`` (see ``encamp.plan.job_for``). Ends the process; the last event is ``done``.

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
            from encamp.agent import compiled

            compiled.keep(importer)
    except ControllerGone:
        sys.exit(4)
    except Exception as error:
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
    journal = Journal(state, read_only=job["check"])
    audit = Audit(f"{job['state']}/{NAME}" if job.get("state") else audit_file(host.is_root, state), job["run"])
    loop = Loop(host, journal, audit, channel.send, job)
    try:
        loop.run()
        outcome = "ok"
    except Failure:
        outcome = "failed"
    audit.end(outcome, loop.failed)
    return {"outcome": outcome, "counts": loop.counts, "seconds": round(time.monotonic() - started, 3)}


def secrets_in(data: Any) -> list[Secret]:
    """Every secret value of a job, wherever it stands."""
    if isinstance(data, dict):
        if "$secret" in data:
            return [Secret(data["$secret"])]
        return [secret for item in data.values() for secret in secrets_in(item)]
    if isinstance(data, list):
        return [secret for item in data for secret in secrets_in(item)]
    return []
