"""Where Windows keeps a user's Python environments: other folders than those of Linux and macOS, in another layout."""

from __future__ import annotations

import os
from typing import Optional

from encamp.resources.system import Reader
from roles.prefect.kinds.user_environment import exists

#: Environments by habit, relative to the home directory; ``*`` stands for every name: python.org's Python, packages of
#: `pip install --user`, uv, pipx, Poetry, conda.
HABITS = (
    "AppData/Local/Programs/Python/*",
    "AppData/Roaming/Python/*",
    "AppData/Roaming/uv/tools/*",
    "pipx/venvs/*",
    "AppData/Local/pypoetry/Cache/virtualenvs/*",
    "AppData/Local/miniconda3",
    "AppData/Local/miniconda3/envs/*",
)
#: An environment's packages, relative to it; the second are those of a user.
PACKAGES = (os.path.join("Lib", "site-packages"), "site-packages")
SCRIPTS = "scripts"


def prefix(host: Reader, folder: str) -> Optional[str]:
    """The environment that ``prefect.exe`` in a folder of the PATH belongs to; None without one."""
    folder = folder.rstrip("\\/")
    found = os.path.basename(folder).lower() == SCRIPTS and exists(host, os.path.join(folder, "prefect.exe"))
    return os.path.dirname(folder) if found else None


def interpreter(host: Reader, prefix: str) -> str:
    """The Python of an environment: of a venv, else of a whole Python; for a user's packages the one on the PATH."""
    for path in (os.path.join(prefix, "Scripts", "python.exe"), os.path.join(prefix, "python.exe")):
        if exists(host, path):
            return path
    return "python"
