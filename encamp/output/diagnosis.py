"""What people read of a diagnosis: for each subject a verdict, then its checks, with cause and fix where one failed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from typing import TextIO

from encamp.output.listener import Listener, Recap
from encamp.output.outcome import NOT_REACHED, Outcome
from encamp.output.terminal import has_colours, painted, printable, report
from encamp.output.text import failure_lines
from encamp.transport.events import FindingEvent, HostEvent

FAIL, WARN, OK = "FAIL", "warn", "ok"
STATUS_WIDTH = 4
#: The colours of lines about something wrong.
WORDS = {FAIL: "failed", WARN: "would"}
SKIPPED = "-"


@dataclasses.dataclass
class Subject:
    """A client, server or worker on a host. ``name`` is empty for the user of a client."""

    name: str
    verdict: str = ""
    findings: list[FindingEvent] = dataclasses.field(default_factory=list)
    fixed: list[str] = dataclasses.field(default_factory=list)

    @property
    def status(self) -> str:
        """The worst of its checks."""
        found = {finding["status"] for finding in self.findings}
        return next((status for status in (FAIL, WARN) if status in found), OK)

    @property
    def first(self) -> FindingEvent | None:
        """The first check that failed; None where none did."""
        return next((finding for finding in self.findings if finding["status"] == FAIL), None)


class DoctorReport(Listener):
    """A listener that prints a host's diagnosis when it is complete, whole."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._lock, self._colours = out, threading.Lock(), has_colours(out)
        self.subjects: dict[str, dict[str, Subject]] = {}

    def event(self, host: str, event: HostEvent) -> None:
        if event["event"] != "finding":
            return
        with self._lock:
            known = self.subjects.setdefault(host, {})
            subject = known.setdefault(event.get("patient", ""), Subject(event.get("patient", "")))
            if "verdict" in event:  # a new examination: after a fix, the one before is outdated
                subject.verdict, subject.findings = event["verdict"], []
            elif "fixed" in event:
                subject.fixed.append(event["fixed"])
            else:
                subject.findings.append(event)

    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            subjects = self.subjects.get(outcome.host, {}).values()
            lines = [line for subject in subjects for line in subject_lines(outcome.host, subject)]
            for line in [*map(printable, [*lines, *failure_lines(outcome)]), ""]:
                self._print(line)

    def _print(self, line: str) -> None:
        """Print a line; one with a bad status in the colour of it."""
        found = next((word for status, word in WORDS.items() if f"  {status}  " in line), "")
        report(painted(line, found) if self._colours else line, self._out)

    def close(self, recap: Recap) -> None:
        if recap.outcomes:
            report("recap", self._out)
        for line in summary(self, recap.outcomes):
            report(f"  {line}", self._out)

    @property
    def unhealthy(self) -> bool:
        """Whether any check of any subject failed."""
        return any(subject.first for known in self.subjects.values() for subject in known.values())


def subject_lines(host: str, subject: Subject) -> list[str]:
    """The report of one subject."""
    lines = [f"{f'{host}  {subject.name}'.rstrip()}  {subject.status}  {subject.verdict}"]
    lines += [f"  fixed: {what}" for what in subject.fixed]
    width = max((len(finding["name"]) for finding in subject.findings), default=0)
    not_reached = []
    for finding in subject.findings:
        if (finding["status"], finding["text"]) == (SKIPPED, NOT_REACHED):
            not_reached.append(finding["name"])
            continue
        lines.append(f"  {finding['name']:<{width}}  {finding['status']:<{STATUS_WIDTH}}  {finding['text']}".rstrip())
        lines += _explanation(finding)
    return [*lines, f"  not reached: {', '.join(not_reached)}"] if not_reached else lines


def _explanation(finding: FindingEvent) -> list[str]:
    words = (("cause:", finding.get("cause")), ("fix:", finding.get("fix")), ("--fix:", finding.get("remedy")))
    lines = [f"      {label:<6} {text}" for label, text in words if text]
    return lines + [f"      | {line}" for line in finding.get("detail", "").splitlines()]


def summary(report: DoctorReport, outcomes: Sequence[Outcome]) -> list[str]:
    """One line a host: ok, or the first thing that is wrong with it."""
    width = max((len(outcome.host) for outcome in outcomes), default=0)
    lines = []
    for outcome in outcomes:
        known = report.subjects.get(outcome.host, {}).values()
        failing = [(subject.name, subject.first) for subject in known if subject.first]
        text = "; ".join(f"{name} {first['name']}: {first['text']}".strip() for name, first in failing)
        if outcome.status != "ok":
            text = f"{outcome.label}: {outcome.failure.reason if outcome.failure else ''}".rstrip(": ")
        lines.append(f"{outcome.host:<{width}}  {text or 'ok'}")
    return lines
