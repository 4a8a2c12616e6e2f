"""A command, where no other kind fits."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System


@kind
class Command(Resource):
    """A command that runs only while its result is missing.

    One of ``creates`` (a path that the command creates) and ``unless`` (a command that only reads and exits 0 when
    there is nothing to do) is required. ``argv`` is a list; there is no shell.
    """

    name: str
    argv: tuple[str, ...] = ()
    creates: str = ""
    unless: tuple[str, ...] = ()
    as_user: str = ""
    timeout: float = 600

    def __post_init__(self) -> None:
        if not self.argv or not (self.creates or self.unless):
            raise ValueError(f"Command {self.name}: needs argv, and creates= or unless=")

    def check(self, host: Reader) -> list[Change]:
        if self.creates and host.stat(self.creates) is not None:
            return []
        if self.unless and host.query(self.unless, as_user=self.as_user).ok:
            return []
        return [Change("run", after=" ".join(self.argv))]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.run(self.argv, as_user=self.as_user, timeout=self.timeout)
