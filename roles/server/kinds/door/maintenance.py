"""A server shut for maintenance, and open again: its clients wait meanwhile, and lose nothing."""

from __future__ import annotations

import time
from typing import Optional, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.system import HttpAnswer, Reader, System
from encamp.resources.systemd.journal import journal_tail
from encamp.resources.systemd.unit_state import unit_state
from roles.prefect.kinds.door import reopening
from roles.prefect.kinds.door.doorway import Doorway
from roles.prefect.kinds.door.notice import Notice

#: Seconds until the door answers.
PATIENCE = 20.0


@kind
class Maintenance(Resource):
    """A Prefect server that is shut: its door answers 503 with what clients wait on.

    ``server``: its unit. ``url`` must answer 503. ``message``: for people. ``seconds`` until it opens by itself; 0:
    never. A maintenance that was begun in the same words is left alone, its end included.
    """

    server: str
    url: str
    message: str = ""
    seconds: int = 0

    def refuse(self, host: Reader) -> None:
        way = Doorway(self.server)
        if not way.is_there(host):
            raise Refused(
                f"{self.server} has no door on this host: encamp wrote no {way.door}",
                "the server was deployed by an earlier encamp, or not at all",
                "deploy it first: `fab -H HOST deploy`",
            )

    def check(self, host: Reader) -> list[Change]:
        way = Doorway(self.server)
        found = way.found(host)
        if found is None or (found.seconds, found.message) != (self.seconds, self.message):
            return [Change("door", str(found or "open"), self._wanted())]
        if not (unit_state(host, way.door).active and unit_state(host, self.server).stopped):
            return [Change("door", f"{self.server} is {unit_state(host, self.server)}", self._wanted())]
        if found.until and not reopening.is_armed(host, way.reopening):
            return [Change("door", "without its end", self._wanted())]
        return []

    def _wanted(self) -> str:
        return f"shut for {self.seconds // 60} min" if self.seconds else "shut until `fab maintenance off`"

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        way = Doorway(self.server)
        notice = self._notice(way.found(host))
        host.progress(f"stopping {self.server}: requests under way are answered")
        way.shut(host, notice)
        answer = host.wait_for(lambda: host.http("GET", self.url, timeout=5), PATIENCE, _is_shut)
        if not _is_shut(answer):
            raise Failure(
                f"the door does not answer: GET {self.url}: {answer.error or f'HTTP {answer.status}'}",
                unit_state(host, way.door).why(),
                f"read its journal: journalctl -u {way.door} -e; `fab maintenance off` opens the server again",
                journal_tail(host, way.door),
            )
        host.note(f"{self.server} is {notice}")

    def _notice(self, found: Optional[Notice]) -> Notice:
        """The one that is there where only something around it was missing, else a new one."""
        if found and (found.seconds, found.message) == (self.seconds, self.message):
            return found
        now = int(time.time())
        since = found.since if found else now
        return Notice(since, now + self.seconds if self.seconds else 0, self.seconds, self.message)


@kind
class MaintenanceOver(Resource):
    """A Prefect server that is not shut, and its door not at work. ``server``: its unit."""

    server: str

    def check(self, host: Reader) -> list[Change]:
        way = Doorway(self.server)
        found = way.found(host)
        if found:
            return [Change("door", str(found), "open")]
        if not unit_state(host, way.door).stopped:
            return [Change("door", "at work", "stopped")]
        return [Change("timer", "present", "absent")] if reopening.exists(host, way.reopening) else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        Doorway(self.server).open(host)


def _is_shut(answer: HttpAnswer) -> bool:
    return answer.status == 503 and answer.headers.get("Prefect-Maintenance") == "true"
