"""Which Prefect is installed for this user, and where: found without starting it (a start costs seconds)."""

from __future__ import annotations

import os
import re
from typing import Iterator, Optional, Sequence

from encamp.resources.system import Reader
from encamp.shared.record import record
from roles.prefect.kinds import windows_places
from roles.prefect.kinds.user_environment import exists, names_in, session, text_of

DIST_INFO = re.compile(r"^prefect-(\d[^-]*)\.dist-info$")
PYTHON_FOLDER = re.compile(r"^python(\d+\.\d+)$")
#: Environments by habit, relative to the home directory; ``*`` stands for every name.
HABITS = (
    ".venv",
    "venv",
    "env",
    "*/.venv",
    "*/venv",
    ".virtualenvs/*",
    ".local/share/encamp/*",
    ".local/share/encamp/envs/*",
    ".local/share/pipx/venvs/*",
    ".local/pipx/venvs/*",
    ".local/share/uv/tools/*",
    ".local/share/virtualenvs/*",
    ".cache/pypoetry/virtualenvs/*",
    ".pyenv/versions/*",
    ".local",
    "miniconda3",
    "anaconda3",
    "miniforge3",
    "mambaforge",
    "miniconda3/envs/*",
    "anaconda3/envs/*",
    "miniforge3/envs/*",
    "mambaforge/envs/*",
)
#: The same on macOS only: Poetry, `pip install --user` of Apple's and python.org's Python, Homebrew's conda.
MAC_HABITS = (
    "Library/Caches/pypoetry/virtualenvs/*",
    "Library/Python/*",
)
MAC_USER = "/Library/Python/"
SYSTEM_PREFIXES = ("/usr/local", "/opt/homebrew", "/usr")
MAC_PREFIXES = (
    "/Library/Frameworks/Python.framework/Versions/*",
    "/opt/homebrew/Caskroom/miniconda/base",
    "/opt/homebrew/Caskroom/miniforge/base",
    "/opt/miniconda3",
    "/opt/anaconda3",
)


@record
class Installed:
    """A Prefect found: its ``version``, the environment's ``path``, and the interpreter that imports it."""

    version: str
    path: str
    python: str


def installed(host: Reader) -> list[Installed]:
    """Every Prefect of this user, the one that ``prefect`` on the PATH means first."""
    return host.once("prefect-installed", lambda: _found(host))


def _found(host: Reader) -> list[Installed]:
    unique: dict[str, Installed] = {}
    for prefix in dict.fromkeys(_without_link(host, prefix) for prefix in _prefixes(host)):
        for found in _in_prefix(host, prefix):
            unique.setdefault(found.path + found.python, found)
    return list(unique.values())


def _without_link(host: Reader, prefix: str) -> str:
    """The environment itself, where ``prefix`` is a link to it: one that is chosen by a link counts once."""
    try:
        found = host.stat(prefix)
    except OSError:
        return prefix
    target = found.target if found else ""
    return os.path.normpath(os.path.join(os.path.dirname(prefix), target)) if target else prefix


def _prefixes(host: Reader) -> Iterator[str]:
    """Environments, in the order a shell of the user would find them."""
    environment = session(host)
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environment.get(name):
            yield environment[name].rstrip("/")
    for folder in filter(None, environment.get("PATH", "").split(os.pathsep)):
        prefix = _prefix_of_script(host, os.path.join(folder, "prefect")) or windows_places.prefix(host, folder)
        if prefix:
            yield prefix
    for habit in (*HABITS, *MAC_HABITS, *windows_places.HABITS):
        yield from _expand(host, host.home, habit.split("/"))
    yield from SYSTEM_PREFIXES
    for prefix in MAC_PREFIXES:
        yield from _expand(host, "/", prefix.strip("/").split("/"))


def _expand(host: Reader, folder: str, names: Sequence[str]) -> Iterator[str]:
    """Folders where tools usually install; a missing one costs one stat."""
    if not names:
        yield folder
    elif names[0] == "*":
        for name in names_in(host, folder):
            if len(names) == 1 or not name.startswith("."):
                yield from _expand(host, os.path.join(folder, name), names[1:])
    else:
        yield from _expand(host, os.path.join(folder, names[0]), names[1:])


def _prefix_of_script(host: Reader, path: str) -> Optional[str]:
    """The environment a ``prefect`` script belongs to: that of the interpreter in its first lines."""
    if not exists(host, path):
        return None
    head = "\n".join(text_of(host, path)[:2000].splitlines()[:3])
    interpreter = re.search(r"(/[^\s'\"]*)/bin/python[\d.]*", head)
    return interpreter[1] if interpreter else None


def _in_prefix(host: Reader, prefix: str) -> Iterator[Installed]:
    for folder in names_in(host, os.path.join(prefix, "lib")):
        python = PYTHON_FOLDER.match(folder)
        if python or (folder, prefix) == ("python3", "/usr") or (folder == "python" and MAC_USER in prefix):
            for packages in ("site-packages", "dist-packages"):
                version = _version_in(host, os.path.join(prefix, "lib", folder, packages))
                if version:
                    yield Installed(version, prefix, _interpreter(host, prefix, folder))
    for packages in windows_places.PACKAGES:
        version = _version_in(host, os.path.join(prefix, packages))
        if version:
            yield Installed(version, prefix, windows_places.interpreter(host, prefix))


def _version_in(host: Reader, packages: str) -> Optional[str]:
    names = (DIST_INFO.match(name) for name in names_in(host, packages))
    return next((name[1] for name in names if name), None)


def _interpreter(host: Reader, prefix: str, folder: str) -> str:
    """The environment's own interpreter; for a user's or the system's packages the system's of that version."""
    if MAC_USER in prefix:
        return _mac_interpreter(host, os.path.basename(prefix))
    own = os.path.join(prefix, "bin", "python")
    if exists(host, own) and not prefix.endswith("/.local"):
        return own
    versioned = os.path.join(prefix, "bin", folder)
    if exists(host, versioned):
        return versioned
    return host.which(folder) or host.which("python3") or "python3"


def _mac_interpreter(host: Reader, version: str) -> str:
    """The Python that a user's packages on macOS belong to: python.org's, Homebrew's, else Apple's own."""
    framework = f"/Library/Frameworks/Python.framework/Versions/{version}/bin/python{version}"
    for path in (framework, f"/opt/homebrew/bin/python{version}"):
        if exists(host, path):
            return path
    return host.which(f"python{version}") or host.which("python3") or "python3"
