"""The recap that people read: every host's error once more, a line a host, the slowest steps, the sum."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from encamp.output.listener import Recap
from encamp.output.outcome import NOT_REACHED, Outcome, slowest
from encamp.output.terminal import printable
from encamp.output.text import failure_lines
from encamp.shared.wire import NOT_PROVEN

#: How a host can end, in the order of the sum.
ENDS = ("ok", "failed", "unreachable", "locked", "drifted", "interrupted", NOT_REACHED)
#: The colours of hosts that did not succeed.
WORDS = {"ok": "", NOT_REACHED: "unknown", "interrupted": "unknown"}

Line = tuple[str, str]


def closing_lines(recap: Recap, brief: bool = False) -> Iterator[Line]:
    """All lines of the end of a run, each with the word whose colour it has.

    ``brief``: leaves out hosts that succeeded. A run that ended before its hosts were known has no recap.
    """
    shown = [outcome for outcome in recap.outcomes if not brief or outcome.status != "ok"]
    if not shown:
        return
    if len(recap.outcomes) > 1:
        yield from error_lines(recap.outcomes)
    yield "", ""
    yield "recap", ""
    for outcome, line in zip(shown, recap_lines(shown, recap.head.check)):
        yield f"  {line}", WORDS.get(outcome.status, "failed")
    yield from ((f"  {line}", "note") for line in unproven_lines(shown))
    if not brief:
        yield from ((f"  {line}", "...") for line in slow_lines(recap.outcomes))
    if len(shown) > 1:
        yield f"  {sum_line(recap)}", ""


def error_lines(outcomes: Sequence[Outcome]) -> Iterator[Line]:
    """Every host's error again, so that none is lost among the lines of other hosts; equal ones once."""
    alike: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.failure:
            alike.setdefault(tuple(failure_lines(outcome, "-")), []).append(outcome)
    if alike:
        yield "", ""
        yield "errors", ""
    for same in alike.values():
        for line in failure_lines(same[0], ", ".join(outcome.host for outcome in same)):
            yield f"  {line}", "failed"


def recap_lines(outcomes: Sequence[Outcome], check: bool) -> list[str]:
    """One line a host."""
    width = max((len(outcome.host) for outcome in outcomes), default=0)
    return [_recap_line(outcome, width, check) for outcome in outcomes]


def _recap_line(outcome: Outcome, width: int, check: bool) -> str:
    counts = outcome.counts
    words = [f"ok={counts['ok']}", f"{'would-change' if check else 'changed'}={counts['changed']}"]
    if counts["unknown"]:
        words.append(f"unknown={counts['unknown']}")
    words.append(f"failed={counts['failed']}")
    if outcome.status not in ("ok", "failed"):
        words.insert(0, outcome.label)
    if outcome.status == NOT_REACHED and any(counts.values()):
        words.append(f"not started: {', '.join(outcome.left)}")
    traffic = f"execs={outcome.traffic.execs} sent={outcome.traffic.sent / 1024:.1f} KiB"
    return f"{outcome.host:<{width}}  {' '.join(words)}  {outcome.seconds:.1f} s  {traffic}"


def unproven_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A line for everything that the verifications of hosts did not show."""
    for outcome in outcomes:
        for note in dict.fromkeys(outcome.notes):
            if note.startswith(NOT_PROVEN):
                yield f"{outcome.host}  {printable(note)}"


def slow_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """The slowest steps of all hosts, the slowest first."""
    titles = itertools.chain(["slowest:"], itertools.repeat(" " * len("slowest:")))
    return [
        f"{title} {step['seconds']:6.1f} s  {step['host']}  {printable(step['step'])}"
        for title, step in zip(titles, slowest(outcomes))
    ]


def sum_line(recap: Recap) -> str:
    """How many hosts ended in which way, and how long all of it took."""
    ends = Counter(outcome.label for outcome in recap.outcomes)
    words = [f"{ends[end]} {end}" for end in ENDS if ends[end]]
    return f"{len(recap.outcomes)} hosts: {', '.join(words)}; {recap.seconds:.1f} s"
