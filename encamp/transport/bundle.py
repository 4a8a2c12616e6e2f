"""What ships to the host: the sources a job needs and no more, packed with the job into one payload."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import re
import zlib
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

from encamp.shared.record import record
from encamp.support import cache
from encamp.transport import shipped

_DIGEST_SIZE = hashlib.sha256().digest_size
#: What every agent needs, and what one that has just been sent its sources does.
ENTRY = ("encamp.agent.main", "encamp.agent.code_cache")
#: In this project a line that begins with three quotes begins a docstring. A test compares the syntax trees.
PROSE = re.compile(r'(^[ \t]*)?r?"""(?:[^"\\]|\\[\s\S]|"(?!""))*"""|\'\'\'[\s\S]*?\'\'\'|^[ \t]*#.*$', re.MULTILINE)
#: Top-level imports only: what is imported within a function travels when it is first needed.
_WORDS = r"(?:from ([\w.]+) import (\([^)]*\)|[^\n#]+)|import ([\w.]+))"
IMPORT = re.compile(rf"^{_WORDS}", re.MULTILINE)
IMPORT_ANYWHERE = re.compile(rf"^[ \t]*{_WORDS}", re.MULTILINE)


@record
class Payload:
    """What stage 0 is sent: the sources, unless the host has kept those of this key, and the job.

    The key is a hash of these sources and of all that they may ask for later: a host keeps those under it as well.
    """

    code: bytes
    work: bytes
    key: str

    @property
    def modules(self) -> set[str]:
        """The names of the modules among the sources."""
        return set(json.loads(zlib.decompress(self.code)))

    def beyond(self, kept: Container[str]) -> bytes:
        """The payload for a host that has kept some sources: a header line with two lengths and the hash, then the
        sources (none where the host has them) and the job, each as zlib of JSON."""
        code = b"" if self.key in kept else self.code
        return b"ENCAMP %d %d %s\n" % (len(code), len(self.work), self.key.encode()) + code + self.work


def pack(job: dict[str, Any], ships: Iterable[str] = ()) -> Payload:
    """The payload for a job. ``ships`` names pure Python packages outside encamp whose sources its kinds need."""
    modules = {*kind_modules(job), *(["encamp.agent.saved_plan"] if "plan" in job else [])}
    later = set(kind_modules(job, seldom=True)) - modules
    reach, code = _packed_sources(sorted(modules), sorted(ships), sorted(later))
    return Payload(code, _packed(job), hashlib.sha256(reach + code).hexdigest())


def _packed(data: Any) -> bytes:
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)


def _packed_sources(kinds: Sequence[str], ships: Sequence[str], later: Sequence[str]) -> tuple[bytes, bytes]:
    """The hash of all that some kinds, and those that may be needed later, import at any time; and the sources that
    the first ones import at once.

    Kept from the last run as long as no file of what ships has changed.
    """
    own = os.stat(__file__)
    state = (own.st_size, own.st_mtime_ns, _state([*kinds, *later], ships))
    key = hashlib.sha256(repr((kinds, ships, later, state)).encode()).hexdigest()
    kept = cache.read(f"sources-{key}")
    if kept is None:
        reach = _reach([*ENTRY, *kinds, *later])
        # Packages are nearly empty; without them each import of a module in one would cost a round trip more.
        folders = _closure(sorted({name.rpartition(".")[0] for name in reach} - {""}))
        digest_of_reach = hashlib.sha256(repr(sorted(reach.items())).encode()).digest()
        kept = digest_of_reach + _packed({**folders, **sources(kinds, ships)})
        cache.write(f"sources-{key}", kept)
    return kept[:_DIGEST_SIZE], kept[_DIGEST_SIZE:]


def _state(kinds: Sequence[str], ships: Sequence[str]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of every file that might travel."""
    packages = {*shipped.packages(), *(kind.rpartition(".")[0] for kind in kinds if not shipped.ships(kind))}
    files = [entry for package in packages for _, entry in shipped.files(package)]
    third_party = [(package, len(_third_party(package)), 0) for package in ships]
    return sorted((entry.path, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in files) + third_party


def sources(modules: Iterable[str], ships: Iterable[str] = ()) -> dict[str, tuple[bool, str]]:
    """``{module: (is a package, source)}`` for every agent, the modules named, and all they import among what ships."""
    return {**_closure([*ENTRY, *modules]), **_all_of(ships)}


def all_sources(modules: Iterable[str], ships: Iterable[str] = ()) -> dict[str, tuple[bool, str]]:
    """As :func:`sources`, of the modules named and all that they ever import: for those who cannot ask for more."""
    return {**_closure(sorted(_reach(modules))), **_all_of(ships)}


def _all_of(ships: Iterable[str]) -> dict[str, tuple[bool, str]]:
    return {name: module for package in ships for name, module in _third_party(package).items()}


def _closure(modules: Iterable[str], known: Container[str] = ()) -> dict[str, tuple[bool, str]]:
    """The modules, all they import at the top among what ships, and the packages they are in, without ``known``."""
    found: dict[str, tuple[bool, str]] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name in known:
            continue
        is_package, source, imports = _module(name)
        found[name] = (is_package, source)
        parent = name.rpartition(".")[0]
        waiting.extend([*imports, *([parent] if parent else [])])
    return found


def _reach(modules: Iterable[str]) -> dict[str, str]:
    """The sources of the modules and of all they import, within functions too."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            _, found[name], _ = _module(name)
            waiting.extend(_imports(found[name], IMPORT_ANYWHERE))
    return found


def digest() -> str:
    """The sha256 of all sources that may ship: two encamps with the same one do the same with the same job."""
    found = hashlib.sha256()
    for package in shipped.packages():
        for path, file in shipped.files(package):
            source = Path(file).read_bytes()
            found.update(f"{path}\0{len(source)}\0".encode() + source)
    return found.hexdigest()


def on_demand(name: str, known: Container[str] = ()) -> dict[str, tuple[bool, str]]:
    """What an agent is sent for a module that it lacks: its source, and those of all it imports; empty without one.

    ``known``: modules that it has been sent.
    """
    exists = shipped.source_file(name) if shipped.ships(name) else shipped.leads_to(name)
    return _closure([name], known) if exists else {}


def stripped(source: str) -> str:
    """A source without docstrings and comments, line for line where it was, so that tracebacks stay true.

    A program (it begins with ``#!``) is left whole: a kind installs it on the host as it is.
    """
    if source.startswith("#!"):
        return source
    return PROSE.sub(_without_prose, source)


def _without_prose(found: re.Match[str]) -> str:
    text = found[0]
    if found[1] is not None:
        return f'{found[1]}""' + "\n" * text.count("\n")
    return "" if text.lstrip().startswith("#") else text  # a comment, or a text within a statement


def kind_modules(data: Any, seldom: bool = False) -> Iterable[str]:
    """The modules of all kinds in a job, as far as it needs them from its start; with ``seldom`` the others, too."""
    if isinstance(data, dict):
        if data.get("when_changed") and not seldom:
            return  # seldom taken: its modules travel when it is
        if "kind" in data and "fields" in data:
            yield data["kind"].partition(":")[0]
        for value in data.values():
            yield from kind_modules(value, seldom)
    elif isinstance(data, list):
        for value in data:
            yield from kind_modules(value, seldom)


def _module(name: str) -> tuple[bool, str, tuple[str, ...]]:
    """One module: whether it is a package, its source, the modules among what ships that it imports.

    A package that only leads to what ships is empty on a host. Raises ModuleNotFoundError for a name without a source.
    """
    if shipped.leads_to(name):
        return True, "", ()
    path = shipped.source_file(name)
    if path is None:
        raise ModuleNotFoundError(f"{name} has no source to send", name=name)
    return path.name == "__init__.py", *_read(path)


@functools.cache
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    source = path.read_text()
    return stripped(source), tuple(_imports(source))


def _imports(source: str, pattern: re.Pattern[str] = IMPORT) -> Iterable[str]:
    for base, names, plain in pattern.findall(source):
        module = base or plain
        for name in [module, *(f"{module}.{word}" for word in re.findall(r"\w+", names))]:
            if shipped.ships(name) and shipped.source_file(name):
                yield name


@functools.cache
def _third_party(package: str) -> dict[str, tuple[bool, str]]:
    """All modules of an installed pure Python package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations, f"{package} is a dependency of encamp"
    root = Path(next(iter(spec.submodule_search_locations)))
    found = {}
    for path in root.rglob("*.py"):
        words = (package, *path.relative_to(root).with_suffix("").parts)
        is_package = words[-1] == "__init__"
        found[".".join(words[:-1] if is_package else words)] = (is_package, path.read_text())
    return found
