"""A log in the order in which a reader looks for a cause: the last start first, in it the first error first."""

from __future__ import annotations

import re
from typing import Iterator

from roles.prefect.kinds.log_errors import LEVELS, MESSAGE

#: What journalctl, Compose and Kubernetes write before each line.
PREFIX = re.compile(
    r"^(?:\w{3} [ \d]\d [\d:]{8} \S+ [^\s:]+: |\d{4}-\S+ std(?:out|err) [FP] |[a-z][\w.-]*-\d+ +\| )", re.MULTILINE
)
#: systemd's words as it starts a unit again: what stands before belongs to an earlier process.
STARTED = re.compile(r"^(?:Start(?:ed|ing) (?:\S+\.service|Prefect )|\S+: Scheduled restart job)", re.MULTILINE)
TRACEBACK = "Traceback (most recent call last):"
#: Lines between two tracebacks of which one led to the other.
CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
#: What systemd says of a unit, and what Python warns of (``file.py:12: UserWarning: text``).
UNIT_LINE = re.compile(r"[\w@.\\:-]+\.service: ")
PYTHON_WARNING = re.compile(r"\S+:\d+: \w*Warning: ")


def by_weight(log: str) -> Iterator[str]:
    """The messages of a log with their tracebacks, whole: the last start's errors in their order, then its other
    messages, then the same of the starts before it."""
    for start in reversed(_starts(PREFIX.sub("", log))):
        found = list(_messages(start))
        yield from (text for text, serious in found if serious)
        yield from (text for text, serious in found if not serious)


def _starts(log: str) -> list[str]:
    places = [0, *(match.start() for match in STARTED.finditer(log)), len(log)]
    return [log[begin:end] for begin, end in zip(places, places[1:])]


def _messages(log: str) -> Iterator[tuple[str, bool]]:
    """Each message, and whether it is an error: by its level; a line without one is, unless Python only warns."""
    lines: list[str] = []
    serious = True
    for line in log.splitlines():
        head = MESSAGE.match(line)
        warning = PYTHON_WARNING.match(line)
        raised = line.startswith(TRACEBACK) and _unconnected(lines)
        if head or warning or raised or UNIT_LINE.match(line):
            if lines:
                yield "\n".join(lines), serious
            lines = []
            serious = not warning and (head is None or (head["level"] or head["plain"]) in LEVELS)
        lines.append(line)
    if lines:
        yield "\n".join(lines), serious


def _unconnected(before: list[str]) -> bool:
    """Whether a traceback has nothing to do with the lines before it: neither an error's or a warning's message, nor an
    exception that led to it."""
    last = next((line for line in reversed(before) if line.strip()), "")
    head = MESSAGE.match(last)
    level = (head["level"] or head["plain"]) if head else ""
    return not last.startswith(CHAINED) and level not in (*LEVELS, "WARNING")
