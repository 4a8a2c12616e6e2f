"""A lock tried with the real server of its release: what a deploy proves is proven here, before the lock is written.

An import shows little: with one lock every flow ran, and no schedule made a flow run, because the server's scheduler
failed in each of its rounds. The server runs on loopback with SQLite, in a directory that is removed afterwards.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from encamp.agent.system import Host
from encamp.locking.lockfile import Lock, LockError
from encamp.resources.base import Failure
from encamp.shared.record import record
from roles.prefect import versions
from roles.prefect.kinds.api import Api
from roles.prefect.kinds.known_failures.lookup import explain
from roles.prefect.kinds.log_errors import repeats
from roles.proof import program, rounds
from roles.proof.kinds.flow_run import VerificationRun

#: Seconds that a program gets to come up.
STARTUP = 180
#: Seconds between two rounds of the scheduler, a minute by default: what fails there is to fail twice while we look.
ROUND = "5"
#: Seconds that the round over all deployments gets: some releases (3.4.25) ignore ROUND, and make one a minute.
ROUNDS_PATIENCE = 90.0
#: How Prefect begins a line.
CLOCK, DAY = re.compile(r"(\d\d):(\d\d):(\d\d\.\d+) \| "), 86400.0
NAME, QUEUE = "encamp-trial", "default"
SHOWN = 15


@record
class Trial:
    """A server on ``port``: ``programs`` is the environment's bin, ``place`` a directory of its own."""

    version: str
    programs: Path
    place: Path
    port: int

    @property
    def api(self) -> Api:
        return Api(f"http://127.0.0.1:{self.port}/api")

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return (self.place / "server.log").read_text("utf-8", "replace")


def prove(lock: Lock, programs: Path, place: Path) -> str:
    """Run flows on the release's own server, by themselves and by a worker or agent from a schedule. Returns a summary.

    Raises LockError, with the reason and the server's own words, where something does not work.
    """
    trial = Trial(lock.version, programs, place, _free_port())
    host = Host(lambda blob: b"", lambda kind, text: None)
    command = versions.command("server", lock.version, bind="127.0.0.1", port=str(trial.port), log_level="warning")
    try:
        with _running(trial, "server", command) as server:
            _await(host, trial, server)
            _by_itself(host, trial)
            rounds.prove(host, trial.api, ROUNDS_PATIENCE)
            _by_runner(host, trial)
            _no_error_repeats(trial)
    except Failure as failure:
        raise _refusal(lock, trial, failure) from None
    return "flows run on its server, by themselves and from schedules, and events trigger automations"


def _refusal(lock: Lock, trial: Trial, failure: Failure) -> LockError:
    """What does not work, the cause where it is known, and the end of the server's log."""
    known = explain(trial.log)
    reason = f"{failure.reason} ({known.cause})" if known else failure.reason
    last = "\n".join(filter(None, [failure.detail, *trial.log.strip().splitlines()[-SHOWN:]]))
    return LockError(
        f"prefect {lock.version} does not work with its dependencies as of {lock.date}: {reason}\n{last}",
        "a dependency was too new or too old on that date: try another one with --exclude-newer YYYY-MM-DD",
    )


def _await(host: Host, trial: Trial, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers a real query. Raises Failure."""

    def state() -> str:
        if trial.api.call(host, "POST", "flow_runs/filter", {"limit": 1}).status == 200:
            return "up"
        return "ended" if server.poll() is not None else ""

    if host.wait_for(state, STARTUP) != "up":
        raise Failure("its server does not start")


def _by_itself(host: Host, trial: Trial) -> None:
    """The verification of a server: a flow run, and runs that the scheduler makes."""
    VerificationRun("server", services=True, **_common(trial)).apply(host, [])


def _by_runner(host: Host, trial: Trial) -> None:
    """The verification of a worker, or an agent where the release has no workers: a run that the scheduler made."""
    if versions.able("workers", trial.version):
        command = versions.command("worker", trial.version, pool=NAME, type="process", name=NAME)
        path, taken = f"work_pools/{NAME}", dict[str, Any](work_pool=NAME, workers=(NAME,))
    else:
        command = versions.command("agent", trial.version, queue=QUEUE)
        path, taken = f"work_queues/name/{QUEUE}", dict[str, Any](queue=QUEUE)
        trial.api.call(host, "POST", "work_queues/", {"name": QUEUE})  # the first releases do not make it themselves
    with _running(trial, "runner", command):
        if not host.wait_for(lambda: trial.api.call(host, "GET", path).status == 200, STARTUP):
            raise Failure(f"its {command[1]} does not start", detail=(trial.place / "runner.log").read_text("utf-8"))
        VerificationRun("runner", services=True, **taken, **_common(trial)).apply(host, [])


def _common(trial: Trial) -> dict[str, Any]:
    python, place = str(trial.programs / "python"), str(trial.place)
    return {"python": python, "api_url": trial.api.url, "through": "environment", "workdir": place}


def _no_error_repeats(trial: Trial) -> None:
    """Raises Failure for errors that the server's log has more than once, and that do not pass."""
    errors = [error for error in repeats(list(_timed(trial.log)), 0) if error.lasting]
    if errors:
        raise Failure(f"its server logs errors that repeat, {errors[0].count} times: {errors[0].text}")


def _timed(log: str) -> Iterator[tuple[float, str]]:
    """The lines of a log, with the time of each in seconds before its last one."""
    lines, times, now = log.splitlines(), list[float](), 0.0
    for line in lines:
        clock = CLOCK.match(line)
        if clock:
            hours, minutes, seconds = map(float, clock.groups())
            now = 3600 * hours + 60 * minutes + seconds
        times.append(now)
    return ((then - now if then <= now else then - now - DAY, line) for then, line in zip(times, lines))


def _running(trial: Trial, name: str, command: Sequence[str]) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A program of the environment, with a log of its own name."""
    argv = [str(trial.programs / command[0]), *command[1:]]
    return program.running(argv, _environment(trial, name), trial.place, trial.place / f"{name}.log")


def _environment(trial: Trial, name: str) -> Mapping[str, str]:
    values = {"home": str(trial.place / f"{name}-home"), "analytics": "false"}
    if name == "server":
        values["database_url"] = f"sqlite+aiosqlite:///{trial.place}/trial.db"
        values["scheduler_round"] = ROUND
    else:
        values["api_url"] = trial.api.url
    path = f"{trial.programs}{os.pathsep}{os.defpath}"
    return {"HOME": str(trial.place), "PATH": path, "DO_NOT_TRACK": "1", **versions.environment(values, trial.version)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
