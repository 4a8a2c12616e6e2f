"""What is released, built as `make dist` builds it, and environments with nothing but that."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import uv

CHECKOUT = Path(__file__).resolve().parent.parent


def build(folder: Path) -> Path:
    """Build sdist and wheel of the checkout as it is into ``folder``. Returns the wheel."""
    env = {**os.environ, "UV": uv.find_uv_bin()}
    done = subprocess.run([CHECKOUT / ".ci" / "dist", folder], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Make an environment with the wheel and what it depends on. Returns its folder of programs."""
    venv.create(folder)
    env = {**os.environ, "UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1"}
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", folder / "bin" / "python", wheel]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "bin"
