"""A backup that was restored for trial, and used."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System
from roles.backup.kinds.program import LONG, Program
from roles.prefect.kinds.memory import memory_of


@kind
class BackupRehearsed(Resource):
    """A backup restored into a scratch database, its release started on it, its rows compared; then all of it removed.

    ``backup``: its name, or latest. Other fields: see BackupTaken.
    """

    name: str
    python: str
    config: str
    backup: str = "latest"

    def check(self, host: Reader) -> list[Change]:
        if memory_of(self).get("done"):
            return []
        return [Change("rehearsal", after=f"of the backup {self.backup}")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.progress(f"rehearsing {self.backup} of {self.name}")
        answer = Program(self.python, self.config).call(host, "rehearse", "--backup", self.backup, timeout=LONG)
        memory_of(self)["done"] = True
        host.note(str(answer["text"]))
