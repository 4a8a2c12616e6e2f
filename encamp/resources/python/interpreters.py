"""Python interpreters on the host, and those that a release supports."""

from __future__ import annotations

import re

from encamp.resources.base import Refused
from encamp.resources.files.paths import is_series
from encamp.resources.system import Reader

DIRECTORIES = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin")
VERSIONED = re.compile(r"python3\.\d+\Z")
ASK = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


def choose(host: Reader, python: str, requires: str, managed: str = "") -> tuple[str, str]:
    """Path and version of the interpreter for an environment. Raises Refused when none fits.

    ``python``: a path, or a series such as 3.11, which uv may have installed in the directory ``managed``; empty: the
    system's python3 if it fits ``requires`` (such as ``>=3.10,<3.15``), else the newest python3.N that does.
    """
    candidates = _candidates(host, python, managed)
    working = [(path, version) for path in candidates for version in [version_of(host, path)] if version]
    for path, version in working:
        if fits(version, requires):
            return path, version
    listed = ", ".join(f"{path} ({version})" for path, version in working) or "none"
    if python:
        reason = (
            f"{python} is Python {working[0][1]}, but {requires} is required" if working else f"{python} does not run"
        )
        raise Refused(
            reason, fix="set python: to another interpreter on this host or to a series such as '3.11', or remove it"
        )
    raise Refused(
        f"this host has no Python {requires}",
        f"found: {listed}",
        "set python: to a series in that range, such as '3.11', which uv installs; or to the path of one that you "
        "install; or choose a Prefect release that supports this host's Python",
    )


def named(host: Reader, series: str, managed: str) -> str:
    """The interpreter of a series: the host's own, or the newest that uv installed in ``managed``; empty if none."""
    return next(iter(_candidates(host, series, managed)), "")


def version_of(host: Reader, path: str) -> str:
    """``3.11.2``, or empty when the interpreter does not run."""
    answer = host.query([path, "-I", "-c", ASK], timeout=20)
    return answer.out.strip() if answer.ok else ""


def fits(version: str, requires: str) -> bool:
    """Whether ``3.11.2`` is in a range such as ``>=3.10,<3.15`` or ``>=3.9,!=3.9.7``. An empty range accepts all."""
    return all(_clause(_numbers(version), clause.strip()) for clause in requires.split(",") if clause.strip())


def _clause(version: tuple[int, ...], clause: str) -> bool:
    match = re.match(r"(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)*)\Z", clause)
    if match is None:
        raise Refused(f"requires_python: cannot parse {clause!r}", fix="write it like >=3.10,<3.15")
    return _compare(match[1], version, _numbers(match[2]))


def _compare(operator: str, version: tuple[int, ...], bound: tuple[int, ...]) -> bool:
    width = max(len(version), len(bound))
    left, right = version + (0,) * (width - len(version)), bound + (0,) * (width - len(bound))
    return {
        ">=": left >= right,
        "<=": left <= right,
        ">": left > right,
        "<": left < right,
        "==": left == right,
        "!=": left != right,
    }[operator]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _candidates(host: Reader, python: str, managed: str) -> list[str]:
    if not python:
        return _installed(host)
    if not is_series(python):
        return [python]
    own = [name for name in host.listdir(managed) if name.startswith(f"cpython-{python}.")] if managed else []
    own.sort(key=lambda name: [int(part) for part in re.findall(r"\d+", name.partition("-")[2])[:3]], reverse=True)
    directories = [*_directories(host), *(f"{managed}/{name}/bin" for name in own)]
    return [f"{directory}/python{python}" for directory in directories if host.stat(f"{directory}/python{python}")]


def _installed(host: Reader) -> list[str]:
    """The system's python3 first, then python3.N, newest first."""
    named = {
        f"{directory}/{name}": int(name.partition(".")[2])
        for directory in _directories(host)
        for name in host.listdir(directory)
        if VERSIONED.match(name)
    }
    system = host.which("python3")
    return ([system] if system else []) + sorted(named, key=lambda path: -named[path])


def _directories(host: Reader) -> list[str]:
    """Directories of interpreters. Those in a home are used without root only: others could not run them."""
    if host.is_root:
        return list(DIRECTORIES)
    roots = (f"{host.home}/.pyenv/versions", f"{host.home}/.local/share/uv/python")
    owned = [f"{root}/{name}/bin" for root in roots for name in host.listdir(root)]
    return [*DIRECTORIES, f"{host.home}/.local/bin", *owned]
