"""What people read of a diagnosis: for each patient a verdict, then its looks, with cause and fix where one failed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any, TextIO

from encamp.output.listener import Listener, Recap
from encamp.output.outcome import Outcome
from encamp.output.terminal import has_colours, painted, printable, tell
from encamp.output.text import failure_lines

FAIL, WARN, OK = "FAIL", "warn", "ok"
STATUS_WIDTH = 4
#: The colours of lines that tell of something wrong.
WORDS = {FAIL: "failed", WARN: "would"}
UNTOLD, NOT_REACHED = "-", "not reached"


@dataclasses.dataclass
class Patient:
    """A client, server or worker on a host. ``name`` is empty for the user of a client."""

    name: str
    verdict: str = ""
    findings: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    fixed: list[str] = dataclasses.field(default_factory=list)

    @property
    def status(self) -> str:
        """The worst of its looks."""
        found = {finding["status"] for finding in self.findings}
        return next((status for status in (FAIL, WARN) if status in found), OK)

    @property
    def first(self) -> dict[str, Any] | None:
        """The first look that failed; None where none did."""
        return next((finding for finding in self.findings if finding["status"] == FAIL), None)


class DoctorReport(Listener):
    """A listener that prints a host's diagnosis when it is complete, whole."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._lock, self._colours = out, threading.Lock(), has_colours(out)
        self.patients: dict[str, dict[str, Patient]] = {}

    def event(self, host: str, event: dict[str, Any]) -> None:
        if event["event"] != "finding":
            return
        with self._lock:
            known = self.patients.setdefault(host, {})
            patient = known.setdefault(event.get("patient", ""), Patient(event.get("patient", "")))
            if "verdict" in event:  # a new examination: after a remedy, the one before is outdated
                patient.verdict, patient.findings = event["verdict"], []
            elif "fixed" in event:
                patient.fixed.append(event["fixed"])
            else:
                patient.findings.append(event)

    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            lines = [
                line for patient in self.patients.get(outcome.host, {}).values() for line in told(outcome, patient)
            ]
            lines += failure_lines(outcome) if outcome.failure else []
            for line in [*map(printable, lines), ""]:
                self._tell(line)

    def _tell(self, line: str) -> None:
        """Print a line; one with a bad status in the colour of it."""
        found = next((word for status, word in WORDS.items() if f"  {status}  " in line), "")
        tell(painted(line, found) if self._colours else line, self._out)

    def close(self, recap: Recap) -> None:
        if recap.outcomes:
            tell("recap", self._out)
        for line in summary(self, recap.outcomes):
            tell(f"  {line}", self._out)

    @property
    def unhealthy(self) -> bool:
        """Whether any look at any patient failed."""
        return any(patient.first for known in self.patients.values() for patient in known.values())


def told(outcome: Outcome, patient: Patient) -> list[str]:
    """The report of one patient."""
    who = f"{outcome.host}  {patient.name}".rstrip()
    lines = [f"{who}  {patient.status}  {patient.verdict}"]
    lines += [f"  fixed: {what}" for what in patient.fixed]
    width = max((len(finding["name"]) for finding in patient.findings), default=0)
    left = [finding["name"] for finding in patient.findings if finding["status"] == UNTOLD and not _told_why(finding)]
    for finding in patient.findings:
        if finding["name"] in left:
            continue
        lines.append(f"  {finding['name']:<{width}}  {finding['status']:<{STATUS_WIDTH}}  {finding['text']}".rstrip())
        lines += _explanation(finding)
    return [*lines, f"  not reached: {', '.join(left)}"] if left else lines


def _told_why(finding: dict[str, Any]) -> bool:
    return bool(finding["text"] != NOT_REACHED)


def _explanation(finding: dict[str, Any]) -> list[str]:
    words = {"cause": "cause:", "fix": "fix:", "remedy": "--fix:"}
    lines = [f"      {label:<6} {finding[key]}" for key, label in words.items() if finding.get(key)]
    return lines + [f"      | {line}" for line in finding.get("detail", "").splitlines()]


def summary(report: DoctorReport, outcomes: Sequence[Outcome]) -> list[str]:
    """One line a host: well, or the first thing that is wrong with it."""
    width = max((len(outcome.host) for outcome in outcomes), default=0)
    lines = []
    for outcome in outcomes:
        known = report.patients.get(outcome.host, {}).values()
        ill = [(patient, patient.first) for patient in known if patient.first]
        text = "; ".join(f"{patient.name} {first['name']}: {first['text']}".strip() for patient, first in ill if first)
        if outcome.status != "ok":
            text = f"{outcome.status}: {outcome.failure.get('reason', '')}".rstrip(": ")
        lines.append(f"{outcome.host:<{width}}  {text or 'well'}")
    return lines
