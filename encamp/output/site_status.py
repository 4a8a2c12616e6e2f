"""``fab status`` for people: what is wrong in the whole site first, each with its fix, then a block for each host."""

from __future__ import annotations

import datetime
import shutil
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from encamp.output.diagnosis import FAIL, OK, WARN, WORDS, Subject
from encamp.output.listener import Listener, Recap
from encamp.output.outcome import Outcome
from encamp.output.terminal import has_colours, has_live, painted, printable, report
from encamp.output.text import failure_lines
from encamp.transport.events import FindingEvent, HostEvent

#: Checks whose good news are shown, in this order; of the others only what is wrong.
FACTS = ("services", "connection", "head-room", "pools", "schedules", "stuck runs", "clients")
FACTS_LAST = ("certificate", "growth", "disk", "Postgres", "drift")
#: Subjects that are all well get a line each, with these facts below it.
WITH_FACTS = ("server", "host")
CLEAR = "\x1b[H\x1b[2J"
Line = tuple[str, str]


class SiteStatus(Listener):
    """A listener that shows the state of a site when all hosts have told theirs.

    ``again``: it is shown over and over; on a terminal each screen then takes the place of the one before.
    """

    def __init__(self, out: TextIO, again: bool = False) -> None:
        self._out, self._again, self._lock = out, again, threading.Lock()
        self._subjects: dict[str, dict[str, Subject]] = {}

    def event(self, host: str, event: HostEvent) -> None:
        if event["event"] != "finding":
            return
        with self._lock:
            known = self._subjects.setdefault(host, {})
            subject = known.setdefault(event.get("patient", ""), Subject(event.get("patient", "")))
            if "verdict" in event:
                subject.verdict, subject.findings = event["verdict"], []
            else:
                subject.findings.append(event)

    def close(self, recap: Recap) -> None:
        if not recap.outcomes:
            return
        colours = has_colours(self._out)
        lines = [painted(printable(text), word) if colours else printable(text) for text, word in self._lines(recap)]
        if self._again and has_live(self._out):
            rows = shutil.get_terminal_size().lines - 1
            cut = [*lines[: rows - 1], f"({len(lines) - rows + 1} more lines)"] if len(lines) > rows else lines
            report(CLEAR + "\n".join(cut), self._out)
        else:
            report("\n".join(lines), self._out)

    @property
    def worst(self) -> str:
        """FAIL, warn or ok: the worst of all that was found."""
        found = {subject.status for known in self._subjects.values() for subject in known.values()}
        return next((status for status in (FAIL, WARN) if status in found), OK)

    def _lines(self, recap: Recap) -> Iterator[Line]:
        failed = [outcome for outcome in recap.outcomes if outcome.status != "ok"]
        wrong = {status: list(self._wrong(status)) for status in (FAIL, WARN)}
        when = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        red, warnings, hosts = len(failed) + len(wrong[FAIL]), len(wrong[WARN]), len(recap.outcomes)
        counts = f"{red} red, {warnings} warning{'' if warnings == 1 else 's'}" if red or warnings else "all is well"
        colour = "failed" if red else "would" if warnings else "ok"
        yield f"{when}  {hosts} host{'' if hosts == 1 else 's'}: {counts}", colour
        for outcome in failed:
            yield from ((line, "failed") for line in failure_lines(outcome) or [f"{outcome.host}  {outcome.label}"])
        for status in (FAIL, WARN):
            for host, subject, finding in wrong[status]:
                yield from _wrong_lines(host, subject, finding)
        for outcome in recap.outcomes:
            yield from _host_lines(outcome, self._subjects.get(outcome.host, {}))

    def _wrong(self, status: str) -> Iterator[tuple[str, Subject, FindingEvent]]:
        for host, known in self._subjects.items():
            for subject in known.values():
                for finding in subject.findings:
                    if finding["status"] == status:
                        yield host, subject, finding


def _wrong_lines(host: str, subject: Subject, finding: FindingEvent) -> Iterator[Line]:
    """A finding in red or yellow, with its cause and fix."""
    status = finding["status"]
    yield f"{status:<4}  {host}  {subject.name}  {finding['name']}: {finding['text']}", WORDS[status]
    for word in ("cause", "fix"):
        if finding.get(word):
            yield f"      {word + ':':<6} {finding[word]}", ""
    yield from ((f"      | {line}", "...") for line in finding.get("detail", "").splitlines())


def _host_lines(outcome: Outcome, known: Mapping[str, Subject]) -> Iterator[Line]:
    """A host's subjects, a line each, and the facts about servers."""
    for number, subject in enumerate(known.values()):
        if number == 0:
            yield "", ""
        word = {FAIL: "failed", WARN: "would"}.get(subject.status, "")
        yield f"{outcome.host}  {subject.name}  {subject.status}  {subject.verdict}", word
        if subject.name.partition(" ")[0] in WITH_FACTS:
            yield from ((line, "") for line in _facts(subject.findings))


def _facts(findings: Sequence[FindingEvent]) -> Iterator[str]:
    """The good news of a subject."""
    width = shutil.get_terminal_size((100, 24)).columns
    good = {finding["name"]: finding["text"] for finding in findings if finding["status"] == OK}
    named = [name for name in (*FACTS, *FACTS_LAST) if name in good]
    label = max((len(name) for name in named), default=0)
    for name in named:
        first = f"  {name:<{label}}  "
        yield from textwrap.wrap(
            good[name],
            max(width, 60),
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_on_hyphens=False,
            break_long_words=False,
        )
