"""What is told of a run and to whom: outcomes, listeners, and what people read. The engine itself never prints."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from encamp.output.terminal import has_colours, has_live, painted, printable
from encamp.output.terminal import tell as tell
from encamp.shared.record import factory, record
from encamp.transport.session import Traffic

#: Seconds from which a step counts as slow, and how many of those the recap names.
SLOW_SECONDS, SLOW_STEPS = 1.0, 5
STATUSES = ("ok", "changed", "unknown", "failed")
NOT_REACHED = "not reached"
#: Lines of a command's output that are shown, and characters of each; programs get all of it.
DETAIL_LINES, LINE_LENGTH = 40, 500


@dataclasses.dataclass(eq=False)
class Outcome:
    """How a run ended on one host. Times in seconds.

    ``status``: ok, failed, unreachable, locked, interrupted, moved on (a saved plan fits no more), or not reached.
    ``step`` is the last one that was begun, ``times`` the steps that took a second or more, ``left`` the stages that
    are still to do.
    """

    host: str
    status: str = NOT_REACHED
    counts: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    seconds: float = 0.0
    traffic: Traffic = dataclasses.field(default_factory=Traffic)
    failure: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    step: str = ""
    times: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    left: tuple[str, ...] = ()

    @property
    def may_go_on(self) -> bool:
        """Whether the host may take part in what comes next."""
        return self.status in ("ok", NOT_REACHED)


@record
class Head:
    """What a run is: the command, the inventory's path, the hosts by name, and whether nothing is to be changed."""

    command: str
    inventory: str = ""
    hosts: tuple[str, ...] = ()
    check: bool = False


@record
class Recap:
    """How a run ended: every host, the exit code, seconds, and what stopped the run as a whole, if anything did."""

    head: Head
    outcomes: Sequence[Outcome]
    code: int
    seconds: float
    error: Mapping[str, Any] = factory(dict)


class Listener:
    """Told of everything that happens, from several threads at once. ``begin`` comes first, ``close`` last, once."""

    def begin(self, head: Head) -> None:
        """It is known what will be done."""

    def expect(self, outcomes: Sequence[Outcome]) -> None:
        """Hosts that will be worked on; their outcomes are filled in as the run goes."""

    def event(self, host: str, event: dict[str, Any]) -> None:
        """One event of a host: of its agent, or of the controller about it."""

    def ended(self, outcome: Outcome) -> None:
        """A host is done, or a stage of it."""

    def close(self, recap: Recap) -> None:
        """The run is over."""


class PlainLines(Listener):
    """One line a change, as it happens; quiet about what is in order. ``brief``: a recap of what went wrong only."""

    def __init__(self, out: TextIO, check: bool, verbose: bool = False, brief: bool = False) -> None:
        self._out, self._check, self._verbose, self._brief = out, check, verbose, brief
        self._colours = has_colours(out)
        self._lock = threading.Lock()

    def event(self, host: str, event: dict[str, Any]) -> None:
        lines = event_lines(host, event, self._check, self._verbose)
        with self._lock:
            for number, line in enumerate(lines):
                self._tell(line, "" if number else event_word(event, self._check))

    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            for line in failure_lines(outcome):
                self._tell(line, "failed")

    def close(self, recap: Recap) -> None:
        from encamp.output.recap import closing_lines

        with self._lock:
            for line, word in closing_lines(recap, self._brief):
                self._tell(line, word)

    def _tell(self, line: str, word: str) -> None:
        tell(painted(line, word) if self._colours else line, self._out)


def console(out: TextIO, check: bool, verbose: bool, brief: bool = False) -> Listener:
    """Live display on a terminal, plain lines elsewhere."""
    if has_live(out):
        from encamp.output.live import LiveConsole

        return LiveConsole(out, check, verbose, brief)
    return PlainLines(out, check, verbose, brief)


def event_word(event: Mapping[str, Any], check: bool) -> str:
    """The word that an event's line begins with; empty for events that people are not told of."""
    if event["event"] != "step":
        return {"note": "note", "progress": "..."}.get(event["event"], "")
    return {"changed": "would" if check else "changed"}.get(event["status"], str(event["status"]))


def event_lines(host: str, event: Mapping[str, Any], check: bool, verbose: bool) -> list[str]:
    """What people read of one event; empty for most."""
    word = event_word(event, check)
    if not word or word == "failed" or (word == "ok" and not verbose):
        return []
    if event["event"] != "step":
        return [f"{host}  {word:<8} {line}" for line in _lines(event["text"])]
    said = f"{event['step']}  {'; '.join(map(change_text, event['changes']))}"
    lines = [f"{host}  {word:<8} {printable(said)}".rstrip()]
    for change in event["changes"]:
        lines += [f"    {line}" for line in _lines(change["diff"])]
    return lines


def change_text(change: Mapping[str, str]) -> str:
    """A change in a few words: ``mode: 0600 -> 0640``."""
    before, after = change["before"], change["after"]
    if before and after:
        return f"{change['what']}: {before} -> {after}"
    return f"{change['what']}: {before or after}" if before or after else change["what"]


def failure_lines(outcome: Outcome, hosts: str = "") -> list[str]:
    """A host's failure for a person: cause and fix first, then the last lines of output. None: no lines.

    ``hosts`` stands in place of the host's name where several failed alike.
    """
    failure = outcome.failure
    if not failure:
        return []
    lines = [f"{hosts or outcome.host}  {outcome.status.upper()}  {printable(failure.get('step', ''))}".rstrip()]
    for word, text in (("what", failure["reason"]), ("cause", failure.get("cause")), ("fix", failure.get("fix"))):
        first, *more = _lines(text or "") or [""]
        lines += [f"    {word + ':':<7} {first}", *(f"            {line}" for line in more)] if first else []
    detail = _lines(failure.get("detail", ""))
    left_out = len(detail) - DETAIL_LINES
    lines += [f"    | ({left_out} lines before these are in the run's record: fab history)"] if left_out > 0 else []
    return lines + [f"    | {line}" for line in detail[-DETAIL_LINES:]]


def _lines(text: str) -> list[str]:
    """Foreign text as lines that can be shown."""
    return [printable(line if len(line) <= LINE_LENGTH else f"{line[:LINE_LENGTH]}...") for line in text.splitlines()]


def recap_data(outcome: Outcome) -> dict[str, Any]:
    """A host's recap as JSON data."""
    return {
        "status": outcome.status,
        "counts": outcome.counts,
        "seconds": round(outcome.seconds, 3),
        "execs": outcome.traffic.execs,
        "bytes_sent": outcome.traffic.sent,
        "bytes_received": outcome.traffic.received,
        "left": list(outcome.left),
        "failure": outcome.failure,
        "notes": outcome.notes,
    }


def slowest(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The slow steps of all hosts, the slowest first, not more than a few."""
    slow = sorted(((seconds, one.host, step) for one in outcomes for seconds, step in one.times), reverse=True)
    return [{"host": host, "step": step, "seconds": seconds} for seconds, host, step in slow[:SLOW_STEPS]]
