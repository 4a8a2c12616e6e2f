"""Runs over processes of this machine: what becomes of one host never hides another, whatever it is."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from encamp.errors import Unreachable
from encamp.output.broadcast import ReportBroadcaster, json_report
from encamp.output.listener import Listener
from encamp.output.outcome import Outcome, exit_code
from encamp.output.plain import PlainLines
from encamp.output.recap import recap_lines
from encamp.planning import plan
from encamp.planning.plan import HostPlan
from encamp.planning.rollout import Mode, Wave
from encamp.resources.files.directory import Directory
from encamp.running.run import Run
from encamp.transport.agent_exec import Link
from encamp.transport.launch import LaunchSpec
from encamp.transport.local import LocalChannel, LocalLink

STAGE = ("all",)


@dataclasses.dataclass
class ProgramConnector:
    """Starts a program of each host's own in place of python3, or raises what stands there."""

    programs: dict[str, str | Exception]

    def open(self, host: str) -> Link:
        program = self.programs[host]
        if isinstance(program, Exception):
            raise program
        return LocalLink()

    def launch_spec(self, host: str) -> LaunchSpec:
        return LaunchSpec(host, str(self.programs[host]), become=False)


def script(folder: Path, name: str, text: str) -> str:
    """A program that stands where a host's python3 would."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


def converge(programs: dict[str, str | Exception], *listeners: Listener) -> dict[str, Outcome]:
    plans: dict[tuple[str, tuple[str, ...]], HostPlan] = {
        (host, STAGE): plan.build(host, [Directory("/tmp")]) for host in programs
    }
    run = Run("deploy", Mode(check=True), ProgramConnector(programs), listeners)
    outcomes = run.converge([Wave("all", dict.fromkeys(programs, STAGE))], plans)
    return {outcome.host: outcome for outcome in outcomes}


def test_each_host_ends_in_its_own_way(tmp_path: Path) -> None:
    out, events = io.StringIO(), tmp_path / "events"
    told = ReportBroadcaster("deploy", True, [json_report(str(events)), PlainLines(out, check=True)], record=False)
    outcomes = converge(
        {
            "good": sys.executable,
            "away": Unreachable("nobody there", "look"),
            "odd": RuntimeError("never thought of"),
            "mute": script(tmp_path, "mute", "exit 0"),
            "gone": script(tmp_path, "gone", "echo 'This account is currently not available.'"),
            "old": script(tmp_path, "old", "echo READY 1 3.6.9; cat"),
            "cut": script(tmp_path, "cut", "echo READY 1 3.11.0; head -c 10"),
            "alone": script(tmp_path, "alone", "echo READY 1 3.11.0; head -c 10; exit 4"),
            "killed": script(tmp_path, "killed", "echo READY 1 3.11.0; head -c 10; kill -KILL $$"),
            "babble": script(tmp_path, "babble", "echo READY 1 3.11.0; head -c 10 >/dev/null; echo no event"),
        },
        told,
    )
    assert told.end() == 2
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "good": "ok",
        "away": "unreachable",
        "odd": "failed",
        "mute": "failed",
        "gone": "failed",
        "old": "failed",
        "cut": "failed",
        "alone": "unreachable",
        "killed": "failed",
        "babble": "failed",
    }
    reasons = {name: outcome.failure.reason if outcome.failure else "" for name, outcome in outcomes.items()}
    assert "never thought of" in reasons["odd"] and outcomes["odd"].failure.cause == "a bug in encamp"
    assert "without any output" in reasons["mute"]
    assert "not available" in reasons["gone"]
    assert "Python 3.6" in reasons["old"]
    assert "ended with status 0" in reasons["cut"]
    assert "lost contact with this machine" in reasons["alone"]
    assert "was killed" in reasons["killed"]
    assert all(outcome.counts["failed"] == (outcome.status == "failed") for outcome in outcomes.values())
    ended = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    assert {event["host"] for event in ended if event["event"] == "ended"} == set(outcomes)
    assert "away  UNREACHABLE\n    what:   nobody there\n    fix:    look" in out.getvalue()
    assert len(recap_lines(list(outcomes.values()), check=True)) == len(outcomes)


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        ("sudo: python3: command not found", 1, "python3 is not installed"),
        ("bash: line 1: python3: command not found", 127, "python3 is not installed"),
        ("bash: ligne 1: python3 : commande introuvable", 127, "python3 is not installed"),
        ("sh: 1: sudo: not found", 1, "sudo is not installed"),
        ("bash: line 1: sudo: command not found", 1, "sudo is not installed"),
        ("ann is not in the sudoers file.", 1, "sudo refuses"),
        ("Could not chdir to home directory /x: No such file or directory", 1, "did not start"),
    ],
)
def test_why_an_agent_did_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, status: int, reason: str
) -> None:
    script(tmp_path, "python3", f"echo '{said}' >&2; exit {status}")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert reason in converge({"host": "python3"})["host"].failure.reason


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["ok", "ok"], 0),
        (["ok", "failed", "unreachable", "locked"], 2),
        (["unreachable", "locked"], 3),
        (["locked", "not reached"], 5),
        (["interrupted", "failed"], 130),
    ],
)
def test_exit_codes(statuses: list[str], code: int) -> None:
    assert exit_code([Outcome(str(number), status) for number, status in enumerate(statuses)], False, False) == code


@pytest.mark.parametrize(
    "last", [("done", "alive"), ("alive", "done"), ("import", "done"), ("start", "import", "failed")]
)
def test_an_answer_that_nobody_is_left_to_take(tmp_path: Path, last: tuple[str, ...]) -> None:
    """The agent has ended before the answer came: to a heartbeat, or to a thread that looked ahead. Its words count.

    It may also still be keeping its compiled sources when a heartbeat is due.
    """
    events = {
        "start": '{"event": "start", "step": "Directory:/tmp", "number": 0}',
        "alive": '{"event": "alive"}',
        "import": '{"event": "import", "module": "encamp.agent.disk_space"}',
        "failed": '{"event": "done", "outcome": "failed", "counts": {"failed": 1}, "seconds": 0.1}',
        "done": '{"event": "done", "outcome": "ok", "counts": {"ok": 1}, "seconds": 0.1}',
    }
    words = "\n".join(events[name] for name in last)
    ended = script(tmp_path, "ended", f"echo READY 1 3.11.0; head -c 10 >/dev/null; exec 0<&-; echo '{words}'")
    outcome = converge({"ended": ended})["ended"]
    assert outcome.status == ("failed" if "failed" in last else "ok") and not outcome.failure


def test_a_host_that_takes_nothing_more_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was to get may have been sent in part: to go on would be to send the rest of something else."""

    def stalled(channel: LocalChannel, data: bytes) -> None:
        raise TimeoutError

    done = '{"event": "done", "outcome": "ok", "counts": {"ok": 1}, "seconds": 0.1}'
    alive = script(tmp_path, "alive", f"echo READY 1 3.11.0; echo '{done}'; exec cat > /dev/null")
    monkeypatch.setattr(LocalChannel, "sendall", stalled)
    outcome = converge({"alive": alive})["alive"]
    assert outcome.status == "unreachable" and "stopped reading" in outcome.failure.reason


@pytest.mark.parametrize(
    ("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1), (signal.SIGHUP, 1)]
)
def test_an_interrupt_ends_with_an_outcome_for_every_host(tmp_path: Path, number: signal.Signals, times: int) -> None:
    """A second one does not wait for hosts that are slow to hang up; each is told of all the same."""
    slow = script(tmp_path, "slow", f"touch {tmp_path}/begun.$$; echo READY 1 3.11.0; exec sleep 60")
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_run
        from pathlib import Path
        from encamp.cli.task import guarded
        from encamp.output.plain import PlainLines
        from encamp.output.broadcast import ReportBroadcaster
        def command():
            with ReportBroadcaster("deploy", True, [PlainLines(sys.stdout, check=True)], record=False) as told:
                test_run.converge({{"one": {slow!r}, "two": {slow!r}}}, told)
                return told.end()
        sys.exit(guarded(command))
    """)
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(one, signal.SIG_DFL) for one in (signal.SIGINT, signal.SIGHUP)],
    )
    for _ in range(600):
        if len(list(tmp_path.glob("begun.*"))) == 2 or child.poll() is not None:
            break
        time.sleep(0.05)
    for _ in range(times):
        child.send_signal(number)
        time.sleep(0.2)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130 and "2 hosts: 2 interrupted" in out, out + err
    assert out.partition("errors")[2].count("run again") == 1, "equal errors are told once, with both hosts"
    assert "Traceback" not in err
