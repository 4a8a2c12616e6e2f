"""A requirement of a verification: its flow run installs a package and imports it, as real deployments do.

The package is a wheel made here, which the requirements file names by its path: neither an index nor the network is
needed, so what is shown is that the worker's flow runs may install, not that an index answers.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import time
from typing import Any
from zipfile import ZipFile

from encamp.resources.base import Failure
from encamp.resources.system import System
from roles.proof.kinds.flow import PACKAGE

FILE = "requirements.txt"
STEP = "prefect.deployments.steps.pip_install_requirements"


def make(host: System, directory: str, user: str) -> list[str]:
    """Write the requirements file and its wheel into ``directory``. Returns the names of both files."""
    # A release of its own: pip leaves alone what is there already, of an interrupted verification.
    version = f"0.{time.time_ns()}"
    wheel = f"{PACKAGE}-{version}-py3-none-any.whl"
    host.write(os.path.join(directory, wheel), wheel_of(version), user, mode=0o600)
    host.write(os.path.join(directory, FILE), f"--no-index\n./{wheel}\n", user, mode=0o600)
    return [FILE, wheel]


def step(directory: str) -> dict[str, Any]:
    """The pull step that installs it; ``directory`` may be a placeholder."""
    return {STEP: {"directory": directory, "requirements_file": FILE}}


def remove(host: System, python: str, user: str, directory: str) -> None:
    """Take the package out of the environment of ``python``, as ``user``, whose it is."""
    argv = [python, "-m", "pip", "uninstall", "--yes", "--quiet", "--disable-pip-version-check", PACKAGE]
    try:
        host.run(argv, env={"HOME": directory}, as_user=user, cwd=directory)
    except Failure as failure:
        host.note(f"the package {PACKAGE} of the test flow could not be removed: {failure.reason}")


def wheel_of(version: str) -> bytes:
    """A wheel with one module without code (the format: packaging.python.org, "Binary distribution format")."""
    info = f"{PACKAGE}-{version}.dist-info"
    files = {
        f"{PACKAGE}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: encamp\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\n"])
    data = io.BytesIO()
    with ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
