"""Whether a release works with its lock, tested on the controller: an incompatible dependency shows only then.

An old release may install cleanly and fail when it runs. That should show when its lock is made, not on a server.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from encamp.locking.lockfile import Lock, LockError, environment
from encamp.locking.package_index import IndexConfig
from encamp.resources.python.environment import only
from encamp.resources.python.interpreters import fits

#: Proves an installed lock, given the environment's programs and a directory to work in. Returns a summary.
Proof = Callable[[Lock, Path, Path], str]


def try_lock(lock: Lock, requires: str, prove: Proof, index: IndexConfig) -> str:
    """Install the lock into a throw-away environment and ``prove`` it there. Returns what to report.

    ``requires`` is the range of Pythons that the release runs on. Raises LockError when it does not work.
    """
    if not fits(platform.python_version(), requires):
        return f"not tested: this machine has Python {platform.python_version()}, not {requires}"
    with tempfile.TemporaryDirectory() as place:
        python = f"{place}/env/bin/python"
        _uv(lock, index, "venv", "--no-project", "--python", sys.executable, f"{place}/env")
        install: tuple[str, ...] = ("pip", "install", "--python", python, "--compile-bytecode")
        install = (*install, "--require-hashes", "--no-deps", "-r", "-")
        if lock.build:
            _uv(lock, index, *install, stdin=only(lock.text, lock.build))
            install = (*install, "--no-build-isolation")
        _uv(lock, index, *install, stdin=lock.text)
        work = Path(place, "work")
        work.mkdir()
        found = prove(lock, Path(python).parent, work)
    return f"tested on Python {platform.python_version()}: {found}"


def _uv(lock: Lock, index: IndexConfig, *arguments: str, stdin: str = "") -> None:
    import uv

    argv = [uv.find_uv_bin(), *arguments, "--no-progress", "--color", "never", "--quiet"]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, env=environment(os.environ, index))
    if done.returncode:
        raise LockError(
            f"prefect {lock.version}, resolved as of {lock.date}, does not install:\n{done.stderr.strip()}",
            "try another date with --exclude-newer YYYY-MM-DD",
        )
