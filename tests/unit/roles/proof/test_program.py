"""A program of a trial ends with the trial: after an error, Ctrl-C, SIGTERM, a closed terminal, or Ctrl-C twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from roles.proof.program import STOP, running
from tests.checkout import CHECKOUT

#: As a server does, it has a program of its own below it. ``stubborn`` is the server itself, the other one always is.
SERVER = """
import signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
below = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
below.stdout.readline()
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(below.pid, flush=True)
time.sleep(600)
"""
#: What starts it, in a temporary directory: it prints that directory and the two process ids, once all are there.
TRIAL = """
import os, sys, tempfile, time
from pathlib import Path
from roles.proof.program import running
with tempfile.TemporaryDirectory(dir=sys.argv[1]) as place:
    log = Path(place, "log")
    with running(sys.argv[2:], os.environ, Path(place), log) as process:
        while not log.read_text().endswith("\\n"):
            time.sleep(0.02)
        print(place, process.pid, log.read_text().strip(), flush=True)
        time.sleep(600)
"""


def server(nature: str = "") -> Sequence[str]:
    return [sys.executable, "-c", SERVER, nature]


def heed_signals() -> None:
    """Tests that run in the background of a shell, or under nohup, have inherited that some are ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def trial(folder: Path, nature: str = "") -> tuple[subprocess.Popen[str], Path, list[int]]:
    """A trial under way: its process, its temporary directory, and the processes of its server."""
    argv = [sys.executable, "-c", TRIAL, str(folder), *server(nature)]
    process = subprocess.Popen(
        argv, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=heed_signals
    )
    assert process.stdout
    place, *pids = process.stdout.readline().split()
    assert all(map(alive, map(int, pids)))
    return process, Path(place), [int(pid) for pid in pids]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie, which has ended, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ended(pids: Sequence[int], seconds: float = 10) -> bool:
    """Whether processes have ended, which the kernel may take a moment for after SIGKILL. None is left behind."""
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return not left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_trial_ends_its_server_and_removes_its_folder(tmp_path: Path, number: signal.Signals) -> None:
    process, place, pids = trial(tmp_path)
    process.send_signal(number)
    assert process.wait(STOP) != 0
    assert ended(pids)
    assert not place.exists()


def test_a_second_signal_does_not_wait_for_a_server_that_takes_its_time(tmp_path: Path) -> None:
    process, place, pids = trial(tmp_path, "stubborn")
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGTERM)
    process.wait(STOP / 2)
    assert ended(pids)
    assert not place.exists()


def test_a_failure_ends_all_that_the_program_started_and_the_handlers_are_back(tmp_path: Path) -> None:
    handler, log = signal.getsignal(signal.SIGTERM), tmp_path / "log"
    with pytest.raises(TimeoutError), running(server(), os.environ, tmp_path, log) as process:
        while not log.read_text().endswith("\n"):
            time.sleep(0.02)
        raise TimeoutError
    assert process.returncode == -signal.SIGTERM
    assert ended([int(log.read_text())])
    assert signal.getsignal(signal.SIGTERM) is handler
