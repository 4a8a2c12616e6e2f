"""The doctor of a database's backups, on the database's host."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any, Mapping, Optional, Sequence

from encamp.resources.base import kind
from encamp.resources.system import Reader
from encamp.resources.systemd.journal import journal_tail
from encamp.resources.systemd.unit_state import UnitState, unit_state
from encamp.shared.record import record
from roles.backup.kinds.program import ERROR, Program
from roles.doctor.kinds.doctor import Doctor, Found, start_report
from roles.doctor.kinds.findings import Check, Finding, examine, fail, ok, warn

HOUR = 3600.0
#: A backup, or a rehearsal, is late after its period, half of it again, and an hour.
SLACK = 1.5
LINES = 8


@kind
class BackupDoctor(Doctor):
    """Reports whether a database's backups are taken and proven as declared. Changes nothing.

    ``name``: the job's. ``python`` and ``config``: see BackupTaken. ``backup`` and ``rehearsal`` are the units' names
    without their endings (no rehearsal: empty), ``hours`` and ``rehearsal_hours`` their periods. ``server``: the
    host's name for texts. ``fix`` has no effect.
    """

    name: str
    python: str
    config: str
    backup: str
    rehearsal: str = ""
    hours: int = 24
    rehearsal_hours: int = 0
    server: str = "SERVER"
    fix: bool = False

    @property
    def subject(self) -> str:
        return f"backups of {self.name}"

    def examine(self, host: Reader) -> Found:
        subject = BackupSubject(host, self)
        last, proven = subject.last, subject.proven
        verdict = f"the last one is {age(time.time() - last['began'])} old" if last else "there is none"
        verdict += f", one was proven {age(time.time() - proven)} ago" if proven else ""
        start_report(host, self.subject, verdict)
        return examine(host, subject, self.subject, CHECKS, lambda subject, name, finding: None)


@record
class BackupSubject:
    """The backups of a database, described by ``kind``."""

    host: Reader
    kind: BackupDoctor

    @cached_property
    def known(self) -> Sequence[Mapping[str, Any]]:
        """All backups, oldest first. Raises Failure."""
        program = Program(self.kind.python, self.kind.config)
        return tuple(program.call(self.host, "list")["backups"]) if program.is_there(self.host) else ()

    @property
    def last(self) -> Optional[Mapping[str, Any]]:
        """The newest backup."""
        return self.known[-1] if self.known else None

    @property
    def proven(self) -> Optional[float]:
        """When a backup was last proven, in seconds since 1970."""
        return max((each["proven"]["at"] for each in self.known if each["proven"]), default=None)


def _check_timer(subject: BackupSubject) -> Optional[Finding]:
    """The timer is there, and waits."""
    timer = f"{subject.kind.backup}.timer"
    state = unit_state(subject.host, timer)
    if state.active and state.enabled:
        return ok(f"{timer} waits")
    fix = f"`fab -H {subject.kind.server} deploy`"
    return fail(f"{timer} is {state if state.exists else 'absent'}", "nothing takes the declared backups", fix)


def _check_last(subject: BackupSubject) -> Optional[Finding]:
    """The last run of the unit succeeded, and is not too long ago."""
    unit, last = f"{subject.kind.backup}.service", subject.last
    state = unit_state(subject.host, unit)
    take = f"`fab -H {subject.kind.server} backup`"
    if state.broken:
        return _failed(subject, state, unit)
    if last is None:
        return warn(
            "there is no backup yet", "", f"{take} takes one now; systemctl list-timers shows when the next is due"
        )
    passed = time.time() - last["began"]
    text = f"{last['name']}, {age(passed)} ago"
    if passed > subject.kind.hours * HOUR * SLACK + HOUR:
        cause = f"one is declared every {subject.kind.hours} h; the host may have been off"
        return fail(f"the last backup is {text}", cause, f"{take}; systemctl list-timers shows when the next is due")
    return ok(text)


def _check_proven(subject: BackupSubject) -> Optional[Finding]:
    """The rehearsals succeed, and are not too long ago."""
    if not subject.kind.rehearsal:
        return None
    unit, proven = f"{subject.kind.rehearsal}.service", subject.proven
    state = unit_state(subject.host, unit)
    rehearse = f"`fab -H {subject.kind.server} rehearse`"
    if state.broken:
        return _failed(subject, state, unit)
    if proven is None:
        return warn("no backup was ever proven", "", f"{rehearse} restores one for trial")
    passed = time.time() - proven
    text = f"last proven {age(passed)} ago"
    late = passed > subject.kind.rehearsal_hours * HOUR * SLACK + HOUR
    return warn(text, f"one is declared every {subject.kind.rehearsal_hours} h", rehearse) if late else ok(text)


def _failed(subject: BackupSubject, state: UnitState, unit: str) -> Finding:
    """A run of the unit that failed, with what it said."""
    log = journal_tail(subject.host, unit, LINES)
    said = [line.partition(ERROR)[2] for line in log.splitlines() if ERROR in line]
    cause = said[-1] if said else state.why()
    # A backup by hand is no run of the unit: systemd would still call that failed.
    fix = f"remove the cause, then on {subject.kind.server}: `systemctl start {unit}`"
    return fail(f"the last run of {unit} failed", cause, fix, log)


def age(seconds: float) -> str:
    """A time that has passed, in hours, or in minutes where that is too coarse."""
    return f"{seconds / 60:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.0f} h"


CHECKS: Sequence[Check[BackupSubject]] = (
    Check("timer", _check_timer),
    Check("last backup", _check_last),
    Check("rehearsal", _check_proven),
)
