"""A backup on demand."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System
from roles.backup.kinds.program import LONG, Program


@kind
class BackupTaken(Resource):
    """A backup of a database, taken once for ``run``, a name that no other backup has.

    ``name``: the job's. ``python`` runs the backup program with its configuration ``config``. Superfluous backups are
    deleted afterwards, and notes name them.
    """

    name: str
    python: str
    config: str
    run: str = ""

    def check(self, host: Reader) -> list[Change]:
        program = Program(self.python, self.config)
        known = program.call(host, "list")["backups"] if program.is_there(host) else ()
        return [] if any(each["run"] == self.run for each in known) else [Change("backup", after="taken now")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.progress(f"backing up {self.name}")
        answer = Program(self.python, self.config).call(host, "backup", "--run", self.run, timeout=LONG)
        host.note(f"backup {answer['text']}")
        if answer["removed"]:
            host.note(f"removed, beyond what is kept: {', '.join(answer['removed'])}")
