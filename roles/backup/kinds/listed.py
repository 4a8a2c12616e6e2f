"""The backups of a database, reported."""

from __future__ import annotations

import json
from typing import ClassVar, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System
from roles.backup.kinds.program import Program


@kind
class BackupsListed(Resource):
    """The backups of a database as one finding; the host is not changed. Fields: see BackupTaken."""

    changes_host: ClassVar[bool] = False

    name: str
    python: str
    config: str

    def check(self, host: Reader) -> list[Change]:
        program = Program(self.python, self.config)
        answer = program.call(host, "list") if program.is_there(host) else {"backups": [], "folder": ""}
        host.finding(
            {
                "text": f"{len(answer['backups'])} backups of {self.name}",
                "backups": json.dumps({**answer, "name": self.name}),
            }
        )
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("backups are only listed")
