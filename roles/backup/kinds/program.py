"""Calls of the backup program on the database's host."""

from __future__ import annotations

import json
from typing import Any, Mapping

from encamp.resources.base import Failure
from encamp.resources.system import Reader
from encamp.shared.record import record

PATH = "/opt/encamp/backup/start.py"
#: Seconds for what reads all of a backup or of a database, and for the rest.
LONG, SHORT = 86400.0, 120.0
ERROR = "error: "


@record
class Program:
    """The program with its configuration: ``python`` runs it."""

    python: str
    config: str

    def call(self, host: Reader, command: str, *words: str, timeout: float = SHORT) -> Mapping[str, Any]:
        """What a command answers. Raises Failure with what it said."""
        argv = [self.python, "-I", PATH, command, self.config, "--json", *words]
        result = host.query(argv, timeout=timeout)
        if result.ok:
            answer: dict[str, Any] = json.loads(result.out.strip().splitlines()[-1])
            return answer
        said = result.err.splitlines()
        reasons = [line[len(ERROR) :] for line in said if line.startswith(ERROR)]
        detail = "\n".join(line[2:] if line.startswith("| ") else line for line in said if not line.startswith(ERROR))
        reason = reasons[-1] if reasons else f"`{' '.join(argv)}` exited {result.code}"
        raise Failure(reason, detail="\n".join(detail.splitlines()[-20:]))

    def is_there(self, host: Reader) -> bool:
        """Whether the program and its configuration are on this host."""
        return host.stat(PATH) is not None and host.stat(self.config) is not None
