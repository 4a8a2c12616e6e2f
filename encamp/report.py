"""Listeners of a run: the console, JSON lines, the recap. The engine itself never prints."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from encamp.transport import Traffic

STATUSES = ("ok", "changed", "unknown", "failed")
NOT_REACHED = "not reached"


@dataclasses.dataclass(eq=False)
class Outcome:
    """How a run ended on one host. Times in seconds.

    ``status``: ok, failed, unreachable, locked, interrupted, moved on (a saved plan fits no more), or not reached.
    ``step`` is the last one that was begun.
    """

    host: str
    status: str = NOT_REACHED
    counts: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    seconds: float = 0.0
    traffic: Traffic = dataclasses.field(default_factory=Traffic)
    failure: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    step: str = ""

    @property
    def may_go_on(self) -> bool:
        """Whether the host may take part in what comes next."""
        return self.status in ("ok", NOT_REACHED)


class Listener(Protocol):
    """Told of everything that happens, from several threads at once."""

    def event(self, host: str, event: dict[str, Any]) -> None:
        """One event of a host's agent."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """A host is done."""
        ...

    def close(self) -> None: ...


def tell(text: str, out: TextIO | None = None) -> None:
    """Print for people. Whoever closes the other end (``fab deploy | head``) does not end the run with it."""
    out = out or sys.stdout
    try:
        print(text, file=out, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


class PlainLines:
    """One line a change, as it happens; quiet about what is in order."""

    def __init__(self, out: TextIO, check: bool, verbose: bool = False) -> None:
        self._out, self._check, self._verbose = out, check, verbose
        self._lock = threading.Lock()

    def event(self, host: str, event: dict[str, Any]) -> None:
        lines = event_lines(host, event, self._check, self._verbose)
        with self._lock:
            for line in lines:
                tell(line, self._out)

    def ended(self, outcome: Outcome) -> None:
        if outcome.failure:
            with self._lock:
                tell("\n".join(failure_lines(outcome)), self._out)

    def close(self) -> None:
        self._out.flush()


class JsonLines:
    """Every event as one JSON object a line, valid whatever happens."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()

    def event(self, host: str, event: dict[str, Any]) -> None:
        self._write({"host": host, "time": time.time(), **event})

    def ended(self, outcome: Outcome) -> None:
        self._write({"host": outcome.host, "time": time.time(), "event": "ended", **recap_data(outcome)})

    def _write(self, data: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(data) + "\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def console(out: TextIO, check: bool, verbose: bool) -> Listener:
    """Live display on a terminal, plain lines elsewhere."""
    if out.isatty() and out is sys.stdout:
        from encamp.live import LiveConsole

        return LiveConsole(check, verbose)
    return PlainLines(out, check, verbose)


def event_lines(host: str, event: dict[str, Any], check: bool, verbose: bool) -> list[str]:
    """What people read of one event; empty for most."""
    kind = event["event"]
    if kind == "note":
        return [f"{host}  note     {event['text']}"]
    if kind == "progress":
        return [f"{host}  ...      {event['text']}"]
    if kind != "step" or event["status"] == "failed":
        return []
    if event["status"] == "ok" and not verbose:
        return []
    word = {"changed": "would" if check else "changed"}.get(event["status"], event["status"])
    lines = [f"{host}  {word:<8} {event['step']}  {'; '.join(map(change_text, event['changes']))}".rstrip()]
    for change in event["changes"]:
        lines += [f"    {line}" for line in change["diff"].splitlines()]
    return lines


def change_text(change: dict[str, str]) -> str:
    """A change in a few words: ``mode: 0600 -> 0640``."""
    before, after = change["before"], change["after"]
    if before and after:
        return f"{change['what']}: {before} -> {after}"
    return f"{change['what']}: {before or after}" if before or after else change["what"]


def failure_lines(outcome: Outcome) -> list[str]:
    """A host's failure for a person: cause and fix first, then the last lines of output."""
    failure = outcome.failure
    lines = [f"{outcome.host}  {outcome.status.upper()}  {failure.get('step', '')}".rstrip()]
    lines += [f"    what:   {failure['reason']}"]
    lines += [f"    {word + ':':<7} {failure[word]}" for word in ("cause", "fix") if failure.get(word)]
    lines += [f"    | {line}" for line in failure.get("detail", "").splitlines()]
    return lines


def recap_data(outcome: Outcome) -> dict[str, Any]:
    """A host's recap as JSON data."""
    return {
        "status": outcome.status,
        "counts": outcome.counts,
        "seconds": round(outcome.seconds, 3),
        "execs": outcome.traffic.execs,
        "bytes_sent": outcome.traffic.sent,
        "bytes_received": outcome.traffic.received,
        "failure": outcome.failure,
        "notes": outcome.notes,
    }


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
        words.insert(0, outcome.status)
    traffic = f"execs={outcome.traffic.execs} sent={outcome.traffic.sent / 1024:.1f} KiB"
    return f"{outcome.host:<{width}}  {' '.join(words)}  {outcome.seconds:.1f} s  {traffic}"
