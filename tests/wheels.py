"""What is released, built as `make dist` builds it, and environments with nothing but that."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

import uv

import encamp
from tests.checkout import CHECKOUT

#: What a wheel is made of.
SOURCES = ("encamp", "roles", "templates", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def build(folder: Path) -> Path:
    """Build sdist and wheel of the checkout as it is into ``folder``. Returns the wheel."""
    _run(CHECKOUT / ".ci" / "dist", folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def build_version(version: str, folder: Path) -> Path:
    """Build a wheel of the checkout with another version, in ``folder``."""
    for name in SOURCES:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    path = folder / "encamp" / "__init__.py"
    path.write_text(re.sub(re.escape(encamp.__version__), version, path.read_text()))
    _run(uv.find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", folder, folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel and what it depends on into an environment, made where there is none: its folder of programs.

    encamp comes last, as pip installs it, so that its ``fab`` is the one that stays: Fabric brings one of that name.
    """
    if not (folder / "bin").exists():
        venv.create(folder)
    into = ("--quiet", "--python", folder / "bin" / "python")
    _run(uv.find_uv_bin(), "pip", "install", *into, wheel)
    _run(uv.find_uv_bin(), "pip", "install", *into, "--no-deps", "--reinstall", wheel)
    return folder / "bin"


def _run(*command: str | Path) -> None:
    env = {**os.environ, "UV": uv.find_uv_bin(), "UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
