"""A process looked at while it runs: the memory, threads and open files it takes at most."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.05


@dataclass(frozen=True)
class Measured:
    """``memory`` is the peak resident size in MiB; ``files`` and ``threads`` the most that were seen at once."""

    code: int
    output: str
    seconds: float
    memory: float
    files: int
    threads: int


def measured(argv: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float) -> Measured:
    """Run a command and watch it. Raises TimeoutError, the process killed, when it takes longer than ``timeout``."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        child = subprocess.Popen(
            argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        files = threads = 0
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - started > timeout:
                child.kill()
                raise TimeoutError(f"{argv[0]} took more than {timeout:.0f} s")
            files = max(files, _count(child.pid, "fd"))
            threads = max(threads, _count(child.pid, "task"))
            time.sleep(INTERVAL)
        seconds = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return Measured(child.returncode, output.read(), seconds, usage.ru_maxrss / 1024, files, threads)


def _count(pid: int, what: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/{what}"))
    except OSError:
        return 0
