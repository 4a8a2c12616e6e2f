"""What all doctors share: one examination, and with ``fix`` the remedies that are safe, then another examination."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource
from encamp.resources.system import Reader, System
from roles.doctor.kinds.findings import Finding, Fix
from roles.prefect.kinds.memory import memory_of

#: One fix may reveal another fault; the doctor stops after this many rounds.
ROUNDS = 3
Found = Sequence[tuple[str, Finding]]


class Doctor(Resource):
    """A kind that examines and reports. Without ``fix`` it changes nothing: ``check`` finds no difference."""

    fix: bool

    def examine(self, host: Reader) -> Found:
        """Run every check, and report each to the controller."""
        raise NotImplementedError

    def check(self, host: Reader) -> list[Change]:
        found = self.examine(host)
        memory = memory_of(self)
        memory["remedies"] = remedies(found)
        if not self.fix or memory.get("treated"):
            return []
        return [Change("fix", after=remedy.what) for remedy in memory["remedies"]]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        memory = memory_of(self)
        memory["treated"] = True
        made: set[str] = set()
        for _ in range(ROUNDS):
            due = [remedy for remedy in memory["remedies"] if remedy.what not in made]
            for remedy in due:
                host.progress(remedy.what)
                remedy.apply(host)
                made.add(remedy.what)
                host.finding({"patient": self.subject, "fixed": remedy.what})
            if not due:
                return
            memory["remedies"] = remedies(self.examine(host))

    @property
    def subject(self) -> str:
        """What is examined, as its host's report calls it; empty where the host is all."""
        return ""


def remedies(found: Found) -> list[Fix]:
    """What may be done about the findings, in their order."""
    return [finding.remedy for _, finding in found if finding.remedy]


def start_report(host: Reader, subject: str, verdict: str) -> None:
    """Begin a report: earlier findings about this subject are outdated."""
    host.finding({"patient": subject, "verdict": verdict})
