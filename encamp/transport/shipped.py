"""Which packages may ship to hosts, and where their sources lie.

A name is looked up along the ``__path__`` of its top package, as an import does: a folder added to ``roles.__path__``
brings roles, and what they ship, from elsewhere.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator
from pathlib import Path

ALWAYS = ("encamp.agent", "encamp.resources", "encamp.shared")
#: Below ``roles``, every package of this name ships.
KINDS = "kinds"


def packages() -> tuple[str, ...]:
    """The packages that ship with all that is below them, in sorted order."""
    return _packages(tuple(_path("roles")))


@functools.cache
def _packages(roles: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*ALWAYS, *(name for folder in roles for name in _kinds_below(folder, "roles"))}))


def _kinds_below(folder: str, package: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        name = f"{package}.{entry.name}"
        if not entry.is_dir():
            continue
        if entry.name != KINDS:
            yield from _kinds_below(entry.path, name)
        elif source_file(name):
            yield name


def ships(name: str) -> bool:
    """Whether the source of a module or package of this name may leave this machine."""
    return f"{name}.".startswith(_prefixes(packages()))


@functools.cache
def _prefixes(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}." for name in names)


def leads_to(name: str) -> bool:
    """Whether a package of this name holds one that ships, and does not ship itself."""
    return any(package.startswith(f"{name}.") for package in packages())


def source_file(name: str) -> Path | None:
    """The file of a module, or the ``__init__.py`` of a package, in the order of an import; None without one."""
    top, *rest = name.split(".")
    for folder in _path(top):
        path = os.path.join(folder, *rest)
        for file in (f"{path}/__init__.py", f"{path}.py"):
            if os.path.isfile(file):
                return Path(file)
    return None


def files(package: str) -> list[tuple[str, os.DirEntry[str]]]:
    """Every Python file of a package and of those below it, sorted by its path within ``sys.path``: ``encamp/...``."""
    init = source_file(package)
    found = _scan(str(init.parent), package.replace(".", "/")) if init else ()
    return sorted(found, key=lambda item: item[0])


def _scan(folder: str, path: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in os.scandir(folder):
        if entry.name.endswith(".py"):
            yield f"{path}/{entry.name}", entry
        elif entry.name != "__pycache__" and entry.is_dir():
            yield from _scan(entry.path, f"{path}/{entry.name}")


def _path(top: str) -> list[str]:
    return list(importlib.import_module(top).__path__)
