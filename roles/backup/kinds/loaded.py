"""A backup loaded beside the database in use."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System
from roles.backup.kinds.program import LONG, Program
from roles.prefect.kinds.memory import memory_of


@kind
class BackupLoaded(Resource):
    """A backup in a database of its own, ``into``, with the rows that were counted. Nothing uses it.

    ``backup``: its name, or latest. Other fields: see BackupTaken.
    """

    name: str
    python: str
    config: str
    backup: str = "latest"
    into: str = ""

    def check(self, host: Reader) -> list[Change]:
        if memory_of(self).get("done"):
            return []
        return [Change("restore", after=f"the backup {self.backup} into {self.into}")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.progress(f"loading {self.backup} of {self.name} into {self.into}")
        words = ("--backup", self.backup, "--into", self.into)
        answer = Program(self.python, self.config).call(host, "load", *words, timeout=LONG)
        memory_of(self)["done"] = True
        for text in [answer["text"], *answer["notes"]]:
            host.note(str(text))
