"""Other Pythons for tests that need one: those of this machine, else one that uv installs into ``.venv/cache``."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT

#: Versions that the agent, and scripts for clients, must run on.
VERSIONS = tuple(f"3.{minor}" for minor in range(9, 15))
KEPT = CHECKOUT / ".venv" / "cache" / "pythons"
UV = Path(sys.executable).with_name("uv")


@functools.cache
def installed(version: str) -> str | None:
    """An interpreter of a version (``3.9``) that runs here; None where there is none."""
    return next((path for path in _candidates(version) if _is(path, version)), None)


def needed(version: str) -> str:
    """The same; it is installed where there is none. A machine that cannot download one skips the test."""
    return installed(version) or _install(version)


def _candidates(version: str) -> Iterator[str]:
    """Where interpreters are: here, on the PATH, and where pyenv and uv keep them. A shim of pyenv's may not run."""
    yield sys.executable
    named = shutil.which(f"python{version}")
    if named:
        yield named
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    uv = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "uv" / "python"
    for folder, pattern in ((pyenv, f"{version}.*"), (uv, f"cpython-{version}.*"), (KEPT, f"cpython-{version}.*")):
        yield from (str(place / "bin" / f"python{version}") for place in sorted(folder.glob(pattern), reverse=True))


def _is(path: str, version: str) -> bool:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _install(version: str) -> str:
    argv = [UV, "python", "install", "--no-bin", "--install-dir", KEPT, version]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no Python {version} here, and uv cannot install it: {done.stderr.strip()[-200:]}")
    installed.cache_clear()
    path = installed(version)
    assert path, f"uv installed Python {version}, and it does not run"
    return path
