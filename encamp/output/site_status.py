"""``fab status`` for people: what is wrong in the whole site first, each with its fix, then a block for each host."""

from __future__ import annotations

import datetime
import itertools
import math
import shutil
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from encamp.output.diagnosis import FAIL, OK, SKIPPED, WARN, WORDS, Subject
from encamp.output.listener import Listener, Recap
from encamp.output.outcome import NOT_REACHED, Outcome
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
        lines = [(printable(text), word) for text, word in self._lines(recap)]
        live = self._again and has_live(self._out)
        if live:
            columns, rows = shutil.get_terminal_size()
            shown = fitting([text for text, _ in lines], columns, rows - 1)
            more = len(lines) - shown
            lines = [*lines[:shown], *([(f"({more} more lines)", "")] if more else [])]
        text = "\n".join(painted(text, word) if colours else text for text, word in lines)
        report(CLEAR + text if live else text, self._out)

    @property
    def worst(self) -> str:
        """FAIL, warn or ok: the worst of all that was found."""
        found = {subject.status for known in self._subjects.values() for subject in known.values()}
        return next((status for status in (FAIL, WARN) if status in found), OK)

    def _lines(self, recap: Recap) -> Iterator[Line]:
        failed = [outcome for outcome in recap.outcomes if outcome.status != "ok"]
        wrong = {status: list(self._wrong(status)) for status in (FAIL, WARN, SKIPPED)}
        when = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        red, warnings, hosts = len(failed) + len(wrong[FAIL]), len(wrong[WARN]), len(recap.outcomes)
        counts = f"{red} red, {warnings} warning{'' if warnings == 1 else 's'}" if red or warnings else "all is well"
        if wrong[SKIPPED]:
            counts = f"{counts if red or warnings else 'nothing wrong was seen'}, {len(wrong[SKIPPED])} cannot be told"
        colour = "failed" if red else "would" if warnings else "ok"
        yield f"{when}  {hosts} host{'' if hosts == 1 else 's'}: {counts}", colour
        for outcome in failed:
            yield from ((line, "failed") for line in failure_lines(outcome) or [f"{outcome.host}  {outcome.label}"])
        for status in (FAIL, WARN, SKIPPED):
            for host, subject, finding in wrong[status]:
                yield from _wrong_lines(host, subject, finding)
        for outcome in recap.outcomes:
            yield from _host_lines(outcome, self._subjects.get(outcome.host, {}))

    def _wrong(self, status: str) -> Iterator[tuple[str, Subject, FindingEvent]]:
        for host, known in self._subjects.items():
            for subject in known.values():
                for finding in subject.findings:
                    if finding["status"] == status and finding["text"] != NOT_REACHED:
                        yield host, subject, finding


def fitting(texts: Sequence[str], columns: int, rows: int) -> int:
    """How many of the first lines fit on a screen, where a long one takes several rows; not all: a row less."""
    taken = list(itertools.accumulate(max(1, math.ceil(len(text) / columns)) for text in texts))
    return len(texts) if taken[-1] <= rows else sum(so_far < rows for so_far in taken)


def _wrong_lines(host: str, subject: Subject, finding: FindingEvent) -> Iterator[Line]:
    """A finding in red or yellow, with its cause and fix; or what cannot be told."""
    status = finding["status"]
    yield f"{status:<4}  {host}  {subject.name}  {finding['name']}: {finding['text']}", WORDS.get(status, "")
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
