"""The controller's own record of its runs: one file of JSON lines each, below ``.encamp/runs`` of the checkout."""

from __future__ import annotations

import datetime
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from encamp.cache import DIRECTORY as CACHE
from encamp.report import Outcome, recap_data
from encamp.shared.record import record

DIRECTORY = CACHE.parent / "runs"
KEEP = 200


class RunLog:
    """Writes every event of a run to a file of its own. A disk that takes none costs the record, not the run."""

    def __init__(
        self, command: str, inventory: str, hosts: Sequence[str], check: bool, folder: Path = DIRECTORY
    ) -> None:
        now = datetime.datetime.now(datetime.timezone.utc)
        self._lock = threading.Lock()
        self._file = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{now:%Y%m%dT%H%M%S.%f}-{command}-{os.getpid()}.jsonl"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(handle, "w", encoding="utf-8")
            for old in sorted(folder.glob("*.jsonl"))[:-KEEP]:
                old.unlink()
        except OSError:
            pass
        begin = {"command": command, "inventory": inventory, "hosts": list(hosts), "check": check}
        self._write({"event": "run", "time": time.time(), **begin})

    def event(self, host: str, event: dict[str, Any]) -> None:
        self._write({"host": host, "time": time.time(), **event})

    def ended(self, outcome: Outcome) -> None:
        self._write({"host": outcome.host, "time": time.time(), "event": "ended", **recap_data(outcome)})

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _write(self, data: Mapping[str, Any]) -> None:
        with self._lock:
            try:
                if self._file:
                    self._file.write(json.dumps(data) + "\n")
                    self._file.flush()
            except OSError:
                self._file = None


@record
class Record:
    """A run of the past. ``statuses`` and ``changed`` are by host; a host without a status was not reached."""

    began: float
    command: str
    inventory: str
    hosts: tuple[str, ...]
    check: bool
    statuses: Mapping[str, str]
    changed: Mapping[str, int]

    @property
    def not_well(self) -> list[str]:
        """The hosts that failed, were unreachable, or were not reached."""
        return [host for host in self.hosts if self.statuses.get(host) != "ok"]


def past(folder: Path = DIRECTORY) -> Iterator[Record]:
    """Records of earlier runs, the latest first. What cannot be read is left out."""
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        record = _read(path)
        if record:
            yield record


def last(command: str, inventory: str, folder: Path = DIRECTORY) -> Record | None:
    """The latest run of a command on a site that was no check."""
    return next(
        (one for one in past(folder) if (one.command, one.inventory, one.check) == (command, inventory, False)), None
    )


def _read(path: Path) -> Record | None:
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, ValueError):
        return None
    if not lines or lines[0].get("event") != "run":
        return None
    begin, ends = lines[0], [line for line in lines if line["event"] == "ended"]
    return Record(
        begin["time"],
        begin["command"],
        begin["inventory"],
        tuple(begin["hosts"]),
        begin["check"],
        {line["host"]: line["status"] for line in ends},
        {line["host"]: line["counts"]["changed"] for line in ends},
    )
