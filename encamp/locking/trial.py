"""Whether a release starts with its lock, tested on the controller: an incompatible dependency shows only then.

An old release may install cleanly and fail at import. That should show when its lock is made, not on a server.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from encamp.locking.lockfile import Lock, LockError, environment
from encamp.locking.package_index import IndexConfig
from encamp.resources.python.environment import only
from encamp.resources.python.interpreters import fits

#: Seconds that a release may take to be imported and to make its application.
TIMEOUT = 300
MAKE_APPLICATION = "import importlib, sys; importlib.import_module(sys.argv[1]).create_app()"


def try_lock(lock: Lock, requires: str, application: str, index: IndexConfig) -> str:
    """Install the lock into a throw-away environment and make the server's application. Returns what to report.

    ``requires`` is the range of Pythons that the release runs on. Raises LockError when it does not start.
    """
    if not fits(platform.python_version(), requires):
        return f"not tested: this machine has Python {platform.python_version()}, not {requires}"
    with tempfile.TemporaryDirectory() as place:
        python = f"{place}/env/bin/python"
        _uv(lock, index, "venv", "--no-project", "--python", sys.executable, f"{place}/env")
        install: tuple[str, ...] = ("pip", "install", "--python", python, "--require-hashes", "--no-deps", "-r", "-")
        if lock.build:
            _uv(lock, index, *install, stdin=only(lock.text, lock.build))
            install = (*install, "--no-build-isolation")
        _uv(lock, index, *install, stdin=lock.text)
        _start(lock, python, application, Path(place))
    return f"tested on Python {platform.python_version()}: it starts"


def _uv(lock: Lock, index: IndexConfig, *arguments: str, stdin: str = "") -> None:
    import uv

    argv = [uv.find_uv_bin(), *arguments, "--no-progress", "--color", "never", "--quiet"]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, env=environment(os.environ, index))
    if done.returncode:
        raise LockError(
            f"prefect {lock.version}, resolved as of {lock.date}, does not install:\n{done.stderr.strip()}",
            "try another date with --exclude-newer YYYY-MM-DD",
        )


def _start(lock: Lock, python: str, application: str, place: Path) -> None:
    """Import the server and make its application, in a home of its own."""
    known = {"HOME": str(place), "PREFECT_HOME": str(place / "home"), "PATH": os.defpath, "DO_NOT_TRACK": "1"}
    argv = [python, "-c", MAKE_APPLICATION, application]
    done = subprocess.run(argv, capture_output=True, text=True, env=known, cwd=place, timeout=TIMEOUT)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise LockError(
            f"prefect {lock.version} does not start with its dependencies as of {lock.date}:\n{last}",
            "a dependency was too new or too old on that date: try another one with --exclude-newer YYYY-MM-DD",
        )
