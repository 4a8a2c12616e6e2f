"""Events and failures as lines for people."""

from __future__ import annotations

from encamp.output.outcome import Outcome
from encamp.output.terminal import printable
from encamp.shared.wire import NOT_PROVEN
from encamp.transport.events import ChangeData, HostEvent

#: Lines of a command's output that are shown, and characters of each; programs get all of it.
DETAIL_LINES, LINE_LENGTH = 40, 500


def event_word(event: HostEvent, check: bool) -> str:
    """The word that an event's line begins with; empty for events that people do not see."""
    if event["event"] == "step":
        return "would" if check and event["status"] == "changed" else event["status"]
    return {"note": "note", "progress": "..."}.get(event["event"], "")


def event_lines(host: str, event: HostEvent, check: bool, verbose: bool) -> list[str]:
    """What people read of one event; empty for most."""
    word = event_word(event, check)
    if event["event"] == "note" and event["text"].startswith(NOT_PROVEN):
        return []  # the recap has it
    if event["event"] == "note" or event["event"] == "progress":
        return [f"{host}  {word:<8} {line}" for line in _lines(event["text"])]
    if event["event"] != "step" or word == "failed" or (word == "ok" and not verbose):
        return []
    line = f"{event['step']}  {'; '.join(map(change_text, event['changes']))}"
    lines = [f"{host}  {word:<8} {printable(line)}".rstrip()]
    for change in event["changes"]:
        lines += [f"    {line}" for line in _lines(change["diff"])]
    return lines


def change_text(change: ChangeData) -> str:
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
    lines = [f"{hosts or outcome.host}  {outcome.label.upper()}  {printable(failure.step)}".rstrip()]
    for word, text in (("what", failure.reason), ("cause", failure.cause), ("fix", failure.fix)):
        first, *more = _lines(text or "") or [""]
        lines += [f"    {word + ':':<7} {first}", *(f"            {line}" for line in more)] if first else []
    detail = _lines(failure.detail)
    left_out = len(detail) - DETAIL_LINES
    lines += (
        [f"    | ({left_out} earlier lines are in the record of the run, below .encamp/runs)"] if left_out > 0 else []
    )
    return lines + [f"    | {line}" for line in detail[-DETAIL_LINES:]]


def _lines(text: str) -> list[str]:
    """Foreign text as lines that can be shown."""
    return [printable(line if len(line) <= LINE_LENGTH else f"{line[:LINE_LENGTH]}...") for line in text.splitlines()]
