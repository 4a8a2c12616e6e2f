"""``fab backups``: the backups that there are."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from encamp.cli.options import Options
from encamp.commands.backups import selection
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from encamp.output.listener import Listener
from encamp.output.terminal import printable, report
from encamp.planning.rollout import Mode
from encamp.transport.events import HostEvent
from roles.backup.kinds.listed import BackupsListed

HEAD = ("host", "database", "backup", "age", "size", "prefect", "schema", "proven")
#: Seconds of each unit of an age, and up to where it is used.
UNITS = ((86400.0, "d", 2 * 86400.0), (3600.0, "h", 2 * 3600.0), (60.0, "min", 120.0))


class Listing(Listener):
    """Keeps what hosts report of their backups."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.found: dict[str, list[Mapping[str, Any]]] = {}

    def event(self, host: str, event: HostEvent) -> None:
        if event["event"] == "finding" and "backups" in event:
            with self._lock:
                self.found.setdefault(host, []).append(json.loads(event["backups"]))


def backups(options: Options) -> int:
    """List the backups of the selected servers' databases, the newest first. Returns the exit code.

    Raises EncampError.
    """
    listing = Listing()
    with reporting(options, "backups", check=True, record=False, brief=True) as reports:
        reports.add(listing)
        site, found = selection.load(options)
        items = selection.items(site, found, lambda job: BackupsListed(job.name, job.python, job.config), program=False)
        connector = connect(options, site, list(items), reports)
        run_hosts("backups", Mode(check=True, forks=options.forks), connector, single_stage("backups", items), reports)
        code = reports.end()
    for line in lines(listing.found, time.time()):
        report(printable(line))
    return code


def lines(found: Mapping[str, Sequence[Mapping[str, Any]]], now: float) -> list[str]:
    """The table that people read, and the databases without a backup below it."""
    rows = [
        _row(host, job["name"], each, now)
        for host, jobs in sorted(found.items())
        for job in jobs
        for each in reversed(job["backups"])
    ]
    table = [HEAD, *rows] if rows else []
    widths = [max(len(row[at]) for row in table) for at in range(len(HEAD))] if table else []
    shown = ["  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip() for row in table]
    empty = [(host, job) for host, jobs in sorted(found.items()) for job in jobs if not job["backups"]]
    none = [f"{host}: no backup of {job['name']}: `fab -H {host} backup` takes one" for host, job in empty]
    return [*shown, *none]


def _row(host: str, job: str, backup: Mapping[str, Any], now: float) -> tuple[str, ...]:
    proven = backup["proven"]
    words = (f"{age(now - proven['at'])} ago: {proven['how']}" if proven else "never",)
    size = f"{backup['size'] / (1 << 20):.1f} MiB"
    return (host, job, backup["name"], age(now - backup["began"]), size, backup["prefect"], backup["head"], *words)


def age(seconds: float) -> str:
    """A time that has passed, in its largest fitting unit."""
    for length, unit, least in UNITS:
        if seconds >= least:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
