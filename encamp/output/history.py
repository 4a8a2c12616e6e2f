"""The controller's own record of its runs: one file of JSON lines each, below ``.encamp/runs`` beside the fabfile."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from encamp.output.json_lines import JsonLines
from encamp.shared.record import record

#: Where they are, below the folder of the fabfile.
FOLDER = ".encamp/runs"
KEEP = 200


class RunLog(JsonLines):
    """Writes every event of a run to a file of its own, as ``--json`` does. Raises OSError where none can be made.

    Readable by its owner alone. The latest ``KEEP`` are kept.
    """

    def __init__(self, command: str, folder: Path) -> None:
        now = datetime.datetime.now(datetime.timezone.utc)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{now:%Y%m%dT%H%M%S.%f}-{command}-{os.getpid()}.jsonl"
        super().__init__(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), str(path))
        for old in sorted(folder.glob("*.jsonl"))[:-KEEP]:
            old.unlink(missing_ok=True)


@record
class Record:
    """A run of the past. ``statuses`` and ``changed`` are by host; a host without a status was not reached.

    ``seconds``: how long it took; None where it was killed before its end.
    """

    began: float
    command: str
    inventory: str
    hosts: tuple[str, ...]
    check: bool
    statuses: Mapping[str, str]
    changed: Mapping[str, int]
    seconds: float | None = None

    @property
    def not_well(self) -> list[str]:
        """The hosts that failed, were unreachable, or were not reached."""
        return [host for host in self.hosts if self.statuses.get(host) != "ok"]


def past_runs(folder: Path) -> Iterator[Record]:
    """Records of earlier runs, the latest first. What cannot be read is left out."""
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        try:
            record = _read(path)
        except (AttributeError, KeyError, TypeError):  # JSON, but not what a run writes
            continue
        if record:
            yield record


def last_run(command: str, inventory: str, folder: Path) -> Record | None:
    """The latest run of a command on a site that was no check."""
    return next(
        (run for run in past_runs(folder) if (run.command, run.inventory, run.check) == (command, inventory, False)),
        None,
    )


def _read(path: Path) -> Record | None:
    lines = list(_events(path))
    if not lines or lines[0].get("event") != "run":
        return None
    begin, last_run = lines[0], lines[-1] if lines[-1].get("event") == "recap" else {}
    ends = last_run.get("hosts") or [line for line in lines if line.get("event") == "ended"]
    return Record(
        begin["time"],
        begin["command"],
        begin["inventory"],
        tuple(begin["hosts"]),
        begin["check"],
        _worst(ends),
        {line["host"]: line["counts"]["changed"] for line in ends},
        last_run.get("seconds"),
    )


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of the run and its hosts, up to an incomplete line (the run was killed)."""
    try:
        with path.open("rb") as file:
            yield json.loads(file.readline())
            for line in file:
                if b'"ended"' in line or b'"recap"' in line:
                    yield json.loads(line)
    except (OSError, ValueError):
        return


def _worst(ends: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Each host's status: the first that was not well, where a host had several parts in a run."""
    found: dict[str, str] = {}
    for line in ends:
        if found.get(line["host"], "ok") == "ok":
            found[line["host"]] = line["status"]
    return found
