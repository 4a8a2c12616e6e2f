"""Kinds that look at a few files of one folder, so that what one step does matters to another."""

from __future__ import annotations

import time
from typing import ClassVar, Sequence

from encamp.resources.base import Change, Failure, HandlerResource, Mark, Resource, kind
from encamp.resources.system import Reader, System


def text_of(host: Reader, path: str) -> str:
    return (host.read(path) or b"").decode()


@kind
class Holds(Resource):
    """A file with a text; empty: no file."""

    name: str
    path: str
    text: str = ""

    def check(self, host: Reader) -> list[Change]:
        found = host.once(self.path, lambda: text_of(host, self.path))
        host.note(f"{self.name} sees {found!r}")
        return [] if found == self.text else [Change("text", found, self.text)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if self.text:
            host.write(self.path, self.text)
        else:
            host.remove(self.path)


@kind
class SlowHolds(Holds):
    """The same, waiting a little, as a child process makes one wait."""

    waits: ClassVar[bool] = True

    def check(self, host: Reader) -> list[Change]:
        time.sleep(0.002)
        return super().check(host)


@kind
class Proof(Resource):
    """Waits for a text that it may not write: it fails, with a bug or as told, when it does not come."""

    name: str
    path: str
    text: str = ""
    bug: bool = False

    waits: ClassVar[bool] = True
    changes_host: ClassVar[bool] = False

    def check(self, host: Reader) -> list[Change]:
        found = text_of(host, self.path)
        if found == self.text:
            return []
        if self.bug:
            raise RuntimeError(f"{self.name} found {found!r}")
        if found:
            raise Failure(f"{self.name} found {found!r}", "a test", "none")
        return [Change("text", found, self.text)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.progress("waiting")
        host.forget()  # type: ignore[attr-defined]


@kind
class Adds(HandlerResource):
    """A handler that changes what others look at."""

    name: str
    path: str
    unless: str = ""

    def needed(self, host: Reader, mark: Mark) -> bool:
        return text_of(host, self.path) != self.unless

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.write(self.path, text_of(host, self.path)[:3] + "h")
