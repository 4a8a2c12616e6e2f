"""A line of a log, and its level: programs write it into the text, each in its own way."""

from __future__ import annotations

import re
from typing import Iterable, Iterator

from encamp.shared.record import record, replace

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
#: What Prefect ("| INFO    |"), Postgres ("LOG:  ") and Caddy ('"level":"info"') call them.
PREFECT = re.compile(r"\| (DEBUG|INFO|WARNING|ERROR|CRITICAL) *\|")
POSTGRES = re.compile(r"\[\d+\] (?:\S+ )?(DEBUG\d?|INFO|NOTICE|LOG|WARNING|ERROR|FATAL|PANIC):  ")
CADDY = re.compile(r'"level":"(debug|info|warn|error|fatal|panic)"')
OTHERS = {"NOTICE": "INFO", "LOG": "INFO", "WARN": "WARNING", "FATAL": "CRITICAL", "PANIC": "CRITICAL"}
#: Of the journal's priorities (syslog(3)): from 0, an emergency, to 7.
PRIORITIES = ("CRITICAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING", "INFO", "INFO", "DEBUG")
#: A login in a URL; its password may hold an @ and a slash that nobody encoded.
LOGIN = re.compile(r"""(?<=://)([^\s/@:]*):[^\s"']+@""")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@record
class LogLine:
    """One line: when it was written (seconds since 1970), by which unit, its level ("": it does not say)."""

    time: float
    unit: str
    level: str
    text: str


def of_text(time: float, unit: str, text: str, priority: str = "") -> LogLine:
    """A line as a program wrote it. ``priority``: the journal's, where what the text says is not known."""
    text = LOGIN.sub(r"\1:***@", COLOURS.sub("", text))
    return LogLine(time, unit, _level(text, priority), text)


def _level(text: str, priority: str) -> str:
    for pattern in (PREFECT, POSTGRES, CADDY):
        found = pattern.search(text)
        if found:
            word = found[1].upper().rstrip("12345")
            return OTHERS.get(word, word)
    level = PRIORITIES[int(priority)] if priority in set("01234567") else ""
    return "" if level == "INFO" else level  # what a program prints has this priority, whatever it is


def with_levels(lines: Iterable[LogLine]) -> Iterator[LogLine]:
    """Lines in their order; one that says no level (of a traceback) has that of the line before it in its unit."""
    last: dict[str, str] = {}
    for line in lines:
        level = last[line.unit] = line.level or last.get(line.unit, "INFO")
        yield replace(line, level=level)


def chosen(lines: Iterable[LogLine], level: str, pattern: str) -> list[LogLine]:
    """The lines of at least a level ("": any) whose text has a match of ``pattern`` ("": any)."""
    least = LEVELS.index(level) if level else 0
    wanted = re.compile(pattern)
    found = with_levels(lines)
    return [line for line in found if LEVELS.index(line.level) >= least and wanted.search(line.text)]
