"""The audit trail of a host: who changed what, from where, when, and how it ended."""

from __future__ import annotations

import json
import os
import time
from typing import Any

ROOT_LOG = "/var/log/encamp"
NAME = "audit.jsonl"
#: Bytes after which the file is renamed to NAME.1; one older file is kept.
LIMIT = 5 << 20


def audit_file(is_root: bool, state: str) -> str:
    """Where the trail of this machine is, or of this user where the agent is not root."""
    return os.path.join(ROOT_LOG if is_root else state, NAME)


class Audit:
    """Two lines for each run that changes something: one before the first change, one at the end. An interrupted run
    leaves only the first; a run that changes nothing leaves none."""

    def __init__(self, path: str, run: dict[str, Any]) -> None:
        self._path, self._run = path, run
        self._changed: list[str] = []
        self._begun = False

    def begin(self) -> None:
        """Record who runs what, before the first change."""
        if not self._begun:
            self._begun = True
            self._write({"event": "begin", **self._run})

    def changed(self, step: str) -> None:
        """Record a step that changed the host."""
        self._changed.append(step)

    def end(self, outcome: str, failed: str = "") -> None:
        """Record how the run ended, if it changed or tried to change anything."""
        if self._begun:
            result = {"outcome": outcome, "changed": self._changed, **({"failed": failed} if failed else {})}
            self._write({"event": "end", "id": self._run.get("id", ""), **result})

    def _write(self, entry: dict[str, Any]) -> None:
        """Append one line. A trail that cannot be written (a full disk) must not stop the deploy."""
        line = json.dumps({"time": round(time.time(), 3), **entry}) + "\n"
        try:
            os.makedirs(os.path.dirname(self._path), 0o750, exist_ok=True)
            if os.path.exists(self._path) and os.path.getsize(self._path) > LIMIT:
                os.replace(self._path, f"{self._path}.1")
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
            try:
                os.write(handle, line.encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError:
            pass
