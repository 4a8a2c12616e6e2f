"""Kinds for tests of the agent: they ship to it as any other kind does."""

from __future__ import annotations

import os
import time
from typing import Sequence

from encamp.resources.base import Change, Failure, HandlerResource, Refused, Resource, kind
from encamp.resources.system import Reader, System


@kind
class Append(HandlerResource):
    """Adds a line to a file each time it runs."""

    path: str

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.write(self.path, (host.read(self.path) or b"") + b"ran\n")


@kind
class Needs(Resource):
    """Fails as long as a path is missing."""

    path: str

    def check(self, host: Reader) -> list[Change]:
        if host.stat(self.path) is None:
            raise Failure(f"{self.path} is missing", "nobody made it", "make it")
        return []


@kind
class Late(Resource):
    """Needs modules that are not sent from the start: two that have others in common."""

    name: str

    def check(self, host: Reader) -> list[Change]:
        from encamp.resources.python import interpreters, simple_index

        return [] if interpreters.fits("3.11", ">=3.9") and simple_index.is_folder("/") else [Change("no")]


@kind
class Stubborn(Resource):
    """Never converges."""

    name: str

    def check(self, host: Reader) -> list[Change]:
        return [Change("mood", "bad", "good")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        pass


@kind
class Broken(Resource):
    """Has a bug."""

    name: str

    def check(self, host: Reader) -> list[Change]:
        return [][0]


@kind
class Noisy(Resource):
    """Prints where it must not, and starts a child that does, too."""

    path: str

    def check(self, host: Reader) -> list[Change]:
        print("noise on standard output", flush=True)
        os.system("echo more noise; read line && echo got $line")
        return [] if host.stat(self.path) else [Change("file", "absent", "present")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.write(self.path, "x")


@kind
class Slow(Resource):
    """Makes a file, then takes its time, so that a test can kill the agent in between."""

    path: str
    seconds: float = 60

    def check(self, host: Reader) -> list[Change]:
        return [] if host.stat(f"{self.path}.done") else [Change("file", "absent", "present")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if host.stat(self.path):
            host.write(f"{self.path}.done", "x")
            return
        host.write(self.path, "x")
        time.sleep(self.seconds)


@kind
class Wait(Resource):
    """A probe: waits for a file that it makes itself."""

    path: str

    changes_host = False

    def check(self, host: Reader) -> list[Change]:
        return [] if host.stat(self.path) else [Change("ready", "no", "yes")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.write(self.path, "x")


@kind
class Started(HandlerResource):
    """What a unit is to its files: it runs with what they held when it was last started."""

    path: str
    reads: tuple[str, ...]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.write(self.path, b"".join(self._read(host, path) for path in self.reads), mode=0o600)

    @staticmethod
    def _read(host: Reader, path: str) -> bytes:
        found = host.stat(path)
        return found.target.encode() if found and found.kind == "symlink" else host.read(path) or b""


@kind
class Owned(Resource):
    """A file that is replaced, unless its text says whose it is."""

    path: str

    def refuse(self, host: Reader) -> None:
        if host.read(self.path) == b"mine":
            raise Refused(f"{self.path} is the owner's", fix=f"move {self.path} away")

    def check(self, host: Reader) -> list[Change]:
        return [] if host.read(self.path) == b"ours" else [Change("text", "", "ours")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.write(self.path, b"ours")


@kind
class OwnedBehind(Owned):
    """As Owned, where nothing can be seen before ``door`` is there."""

    door: str = ""

    def refuse(self, host: Reader) -> None:
        if host.stat(self.door) is None:
            raise Failure(f"{self.door} does not answer")
        super().refuse(host)
