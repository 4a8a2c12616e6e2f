"""The logs of a host's units, in the order of time, once or for as long as somebody reads."""

from __future__ import annotations

import fnmatch
import re
import time
from typing import Any, Mapping, Optional, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.caddy import paths as caddy
from encamp.resources.postgres import layout
from encamp.resources.system import Reader, System
from encamp.resources.systemd.owners import DIRECTORY, is_ours
from encamp.shared.record import factory, values
from encamp.shared.secret import Secret
from roles.logs.kinds import file_log, journal
from roles.logs.kinds.line import LogLine, chosen
from roles.prefect.kinds.user_environment import names_in

OURS = re.compile(r"prefect-.+\.service")
#: Seconds between two looks, and after which something is sent whatever there is: a reader that is gone is noticed.
PAUSE, SIGN_OF_LIFE = 1.0, 5.0
#: Lines that are sent at a time.
BATCH = 500


@kind
class Logs(Resource):
    """Sends the last lines of the logs of encamp's units on a host, and then (``follow``) what is added.

    ``cluster`` is the Postgres cluster whose log belongs to them, ``containers`` what containers that log to the
    journal are called, ``proxied`` whether Caddy belongs to them. ``only``: patterns of names that are wanted (server,
    worker*, postgres, caddy); none: all. ``lines``: how many of the last ones (0: all since ``since``). ``since`` is a
    time as journalctl reads it. ``level``: the least; ``grep``: a regular expression. ``position`` is where an earlier
    run ended. ``timeout``: seconds after which following ends. ``secrets`` are replaced by *** in what is sent. Changes
    nothing.
    """

    name: str
    cluster: str = ""
    containers: Mapping[str, str] = factory(dict)
    proxied: bool = False
    only: tuple[str, ...] = ()
    lines: int = 0
    since: str = ""
    level: str = ""
    grep: str = ""
    follow: bool = False
    position: Mapping[str, str] = factory(dict)
    timeout: int = 30 * 86400
    secrets: tuple[Secret, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        units, file = self._units(host), self._file(host)
        position: Mapping[str, str] = {"since": f"@{int(time.time())}", **self.position}
        if not self.position:
            found, position = self._first(host, units, file, position)
            self.send(host, found[-self.lines :] if self.lines else found, position)
        ends, sent = time.monotonic() + self.timeout, time.monotonic()
        while self.follow and time.monotonic() < ends:
            found, position = self._next(host, units, file, position)
            if found or time.monotonic() - sent > SIGN_OF_LIFE:
                sent = time.monotonic()
                self.send(host, found, position)
            time.sleep(PAUSE)
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("logs are only read")

    def _first(
        self, host: Reader, units: Mapping[str, str], file: str, position: Mapping[str, str]
    ) -> tuple[list[LogLine], Mapping[str, str]]:
        filtered = self.level or self.grep
        most = self.lines if self.lines and not filtered else journal.MOST
        lines, cursor = journal.latest(host, units, self.containers, self.since, most)
        added, end = file_log.read(host, file, "postgres", None) if file else ([], 0)
        if self.since and added:
            begin = self._begin(host)
            added = [line for line in added if line.time >= begin]
        return self._merged(lines, added), {**position, "file": str(end), **({"journal": cursor} if cursor else {})}

    def _next(
        self, host: Reader, units: Mapping[str, str], file: str, position: Mapping[str, str]
    ) -> tuple[list[LogLine], Mapping[str, str]]:
        cursor = position.get("journal")
        start = f"--after-cursor={cursor}" if cursor else f"--since={position['since']}"
        lines, last = journal.following(host, units, self.containers, start)
        added, end = file_log.read(host, file, "postgres", int(position.get("file", "0"))) if file else ([], 0)
        return self._merged(lines, added), {**position, "file": str(end), **({"journal": last} if last else {})}

    def _merged(self, *sources: Sequence[LogLine]) -> list[LogLine]:
        """All lines in the order of time; those of one source stay in theirs."""
        wanted = [line for lines in sources for line in lines if self._is_wanted(line.unit)]
        return chosen(sorted(wanted, key=lambda line: line.time), self.level, self.grep)

    def _begin(self, host: Reader) -> float:
        """``since`` in seconds: systemd says what its words mean."""
        out = host.query(["systemd-analyze", "timestamp", "--", self.since]).out
        found = re.search(r"UNIX seconds: @([\d.]+)", out)
        return float(found[1]) if found else 0.0

    def _units(self, host: Reader) -> dict[str, str]:
        """The units whose logs are sent, and what each is called: server, worker-etl, postgres, caddy."""
        found = {
            unit: unit.removeprefix("prefect-").removesuffix(".service")
            for unit in names_in(host, DIRECTORY)
            if OURS.fullmatch(unit) and is_ours(host, unit)
        }
        cluster = self._cluster(host)
        found.update({cluster.unit: "postgres"} if cluster else {})
        found.update({caddy.UNIT: "caddy"} if self.proxied else {})
        return {unit: name for unit, name in found.items() if self._is_wanted(name)}

    def _file(self, host: Reader) -> str:
        cluster = self._cluster(host)
        return cluster.log if cluster and self._is_wanted("postgres") else ""

    def _cluster(self, host: Reader) -> Optional[layout.Cluster]:
        return layout.find(host, self.cluster) if self.cluster else None

    def _is_wanted(self, name: str) -> bool:
        return not self.only or any(fnmatch.fnmatchcase(name, pattern) for pattern in self.only)

    def send(self, host: Reader, lines: Sequence[LogLine], position: Mapping[str, str]) -> None:
        """Send lines in batches. Only the last one has the position: without it a reader has not got them all."""
        for at in range(0, max(len(lines), 1), BATCH):
            data: dict[str, Any] = {"lines": [list(values(line)) for line in lines[at : at + BATCH]]}
            host.log({**data, "position": dict(position) if at + BATCH >= len(lines) else {}})
