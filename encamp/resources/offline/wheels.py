"""The wheels of a lock for this host's kind, fetched from an index into a folder."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import re
from typing import Iterator, Optional, Sequence, Union

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.offline.tags import Target, rank
from encamp.resources.proxy import Proxy
from encamp.resources.python import simple_index
from encamp.resources.python.uv import run as uv_run
from encamp.resources.system import Content, Reader, System
from encamp.shared.record import record
from encamp.shared.secret import Secret

AT_ONCE = 8
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)([^\n]*)\n((?:    --hash=sha256:[^\n]+\n?)+)", re.MULTILINE)
#: Asks a Python for what its wheels must fit.
PROBE = "import platform,sys;print(*sys.version_info[:2],platform.machine(),platform.libc_ver()[1])"


@record
class Pin:
    """A package of a lock. ``conditional``: it is for some systems or Pythons only, by a marker."""

    name: str
    version: str
    conditional: bool
    hashes: frozenset[str]


@record
class Index:
    """A package index, and the way to it."""

    host: Reader
    url: Union[str, Secret]
    ca_file: str
    proxy: Optional[Proxy]

    def files(self, project: str) -> dict[str, str]:
        """The files of a project, and where each is. Raises Failure."""
        return simple_index.project_files(self.host, self.url, project, self.ca_file, self.proxy)

    def get(self, url: str) -> bytes:
        """One of them. Raises Failure."""
        return simple_index.download(self.host, self.url, url, self.ca_file, self.proxy)


@kind
class CollectedWheels(Resource):
    """The wheels of a lock that fit this host, in a folder, each verified by the lock's hashes.

    A trial proves that they are complete: an environment made of them with the network switched off, then removed.

    ``name``: what they are for. ``folder``: where they go. ``lock``: requirements with hashes. ``uv``: path of uv.
    ``index_url``, ``ca_file``, ``proxy``, ``no_proxy``: as in PythonEnv. ``pinned``: (file, sha256) of wheels of uv, of
    which those for this host go along. ``mark``: names this collection; one with that mark is complete.
    """

    name: str
    folder: str
    lock: Content
    uv: str
    index_url: Union[str, Secret] = ""
    ca_file: str = ""
    pinned: tuple[tuple[str, str], ...] = ()
    mark: str = ""
    proxy: Union[str, Secret] = ""
    no_proxy: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        done = (host.read(self._marker) or b"").decode() == self.mark
        return [] if done else [Change("wheels", "", f"in {self.folder}")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.mkdir(self.folder)
        target, text = probed(host), host.text(self.lock)
        ca_file = simple_index.ca_path(host, self.ca_file)
        proxy = simple_index.route(host, self.index_url, ca_file, self.proxy, self.no_proxy)
        index = Index(host, self.index_url, ca_file, proxy)
        wanted = [*pins(text), *self._pinned()]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            fetched = [pool.submit(self._fetch, host, index, pin, target) for pin in wanted]
            for number, one in enumerate(fetched, 1):
                one.result()
                host.measure(f"fetching wheels of {self.name}", number, len(fetched))
        self._prove(host, text)
        host.write(self._marker, self.mark)

    @property
    def _marker(self) -> str:
        return f"{self.folder}.{re.sub(r'[^0-9A-Za-z.]', '-', self.name)}"

    def _pinned(self) -> Iterator[Pin]:
        """uv itself, as one package with the hashes of all its wheels."""
        for version in {filename.split("-")[1] for filename, _ in self.pinned}:
            yield Pin("uv", version, False, frozenset(sha256 for _, sha256 in self.pinned))

    def _fetch(self, host: System, index: Index, pin: Pin, target: Target) -> None:
        """Fetch one package. What a lock names for other systems has no wheel here; the trial finds what is missing."""
        files = index.files(pin.name)
        ranked = [(found, name) for name in files if _is_of(name, pin) for found in [rank(name, target)] if found]
        for _, name in sorted(ranked, reverse=True):
            path = os.path.join(self.folder, name)
            if _sha256(host.read(path)) in pin.hashes:
                return
            data = index.get(files[name])
            if _sha256(data) in pin.hashes:  # one that came out after the lock is not in it
                return host.write(path, data)
        if ranked:
            raise simple_index.altered(files[max(ranked)[1]])
        if not pin.conditional:
            raise Failure(
                f"{pin.name} {pin.version} has no wheel for Python {target.python[0]}.{target.python[1]} on "
                f"{target.machine}",
                "the index lacks it, or the package must be built from source",
                "a bundle holds wheels only: choose a release whose packages all have them",
            )

    def _prove(self, host: System, text: str) -> None:
        """Install the lock from the folder alone. Raises Failure with what is missing."""
        host.progress(f"proving that the wheels of {self.name} are complete")
        trial, cache = f"{self.folder}.trial", f"{self.folder}.cache"
        known = {**uv_run.environment(host, cache), **uv_run.from_folder(self.folder)}
        try:
            uv_run.run(host, self.uv, ["venv", "--no-project", "--clear", "--python", "python3", trial], known)
            words = ["pip", "install", "--python", f"{trial}/bin/python", "--require-hashes", "--no-deps", "-r", "-"]
            uv_run.run(host, self.uv, words, known, text)
        finally:
            host.remove(trial)
            host.remove(cache)


def pins(lock: str) -> Iterator[Pin]:
    """The packages of a lock."""
    for found in PIN.finditer(lock):
        hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", found[4]))
        yield Pin(found[1], found[2], ";" in found[3], hashes)


def probed(host: Reader) -> Target:
    """What wheels for this host must fit, by its python3. Raises Failure where it has no glibc."""
    answer = host.query(["python3", "-I", "-c", PROBE])
    words = answer.out.split()
    if not answer.ok or len(words) != 4:
        raise Failure("python3 does not name its C library", "it is not glibc (Alpine?)", detail=answer.tail)
    glibc = re.findall(r"\d+", words[3])
    return Target((int(words[0]), int(words[1])), (int(glibc[0]), int(glibc[1])), words[2])


def _is_of(filename: str, pin: Pin) -> bool:
    """Whether a file is a wheel of a package, by name and version in their normal forms (PEP 503, PEP 427)."""
    words = filename.split("-")
    return len(words) > 2 and _plain(words[0]) == _plain(pin.name) and words[1] == pin.version.replace("-", "_")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _sha256(data: Union[bytes, None]) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()
