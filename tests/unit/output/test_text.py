"""What people and programs read of a run."""

from __future__ import annotations

import io
import os
from typing import Any

from rich.console import Console

from encamp.output.listener import Head, Recap
from encamp.output.live import LiveConsole
from encamp.output.outcome import Failure, Outcome
from encamp.output.plain import PlainLines
from encamp.output.recap import closing_lines, recap_lines
from encamp.output.text import event_lines, failure_lines

CHANGE = {"what": "mode", "before": "0600", "after": "0640", "diff": ""}


def step(status: str, *changes: dict[str, str]) -> dict[str, Any]:
    return {"event": "step", "step": "File:/etc/x[1]", "status": status, "changes": list(changes), "seconds": 0.1}


def failed() -> Outcome:
    failure = Failure("Service:x", "it does not start", "no disk", "free some", "a\nb")
    return Outcome("vm1", "failed", {"ok": 3, "changed": 1, "unknown": 0, "failed": 1}, failure=failure)


def test_what_is_in_order_is_told_only_when_asked() -> None:
    assert event_lines("vm1", step("ok"), check=False, verbose=False) == []
    assert event_lines("vm1", step("ok"), check=False, verbose=True) == ["vm1  ok       File:/etc/x[1]"]


def test_a_change_is_a_line_and_in_check_mode_a_would() -> None:
    assert event_lines("vm1", step("changed", CHANGE), False, False) == [
        "vm1  changed  File:/etc/x[1]  mode: 0600 -> 0640"
    ]
    assert event_lines("vm1", step("changed", CHANGE), True, False)[0].split()[1] == "would"


def test_a_failure_tells_cause_and_fix_before_the_output() -> None:
    assert failure_lines(failed()) == [
        "vm1  FAILED  Service:x",
        "    what:   it does not start",
        "    cause:  no disk",
        "    fix:    free some",
        "    | a",
        "    | b",
    ]


def test_the_recap_has_a_line_a_host_with_what_it_cost() -> None:
    lines = recap_lines([failed(), Outcome("w", "not reached")], check=False)
    assert lines[0].startswith("vm1  ok=3 changed=1 failed=1") and "execs=0" in lines[0]
    assert lines[1].startswith("w    not reached ok=0")


def test_what_was_not_proven_is_in_the_recap_and_only_there() -> None:
    text = "not proven: schedules: the server's scheduler is disabled (server default)"
    assert event_lines("vm1", {"event": "note", "text": text}, check=False, verbose=True) == []
    done = Outcome("vm1", "ok", notes=["no firewall", text, text])
    recap = [line for line, _ in closing_lines(Recap(Head("deploy"), [done], 0, 1.0))]
    assert [line for line in recap if "firewall" in line or "proven" in line] == [f"  vm1  {text}"]


def test_the_live_console_shows_names_as_they_are() -> None:
    out = io.StringIO()
    told = LiveConsole(out, False, console=Console(file=out, force_terminal=True, width=60))
    told.expect([Outcome("vm1")])
    told.event("vm1", {"event": "start", "step": "File:/etc/x[1]", "number": 0})
    told.event(
        "vm1", {"event": "note", "text": "no active [firewall] on this host: nothing opened for 4200/tcp from anywhere"}
    )
    told.event("vm1", step("changed", CHANGE))
    told.ended(failed())
    told.close(Recap(Head("deploy"), [failed()], 2, 1.0))
    shown = out.getvalue()
    assert "[bold]" not in shown and "[/]" not in shown
    assert "no active [firewall] on this host: nothing opened for 4200/tcp from anywhere" in shown
    assert "mode: 0600 -> 0640" in shown and "fix:    free some" in shown


def test_a_closed_pipe_does_not_end_the_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as out:
        told = PlainLines(out, check=False)
        for _ in range(3):
            told.event("vm1", step("changed", CHANGE))
        told.ended(failed())
        told.close(Recap(Head("deploy"), [failed()], 2, 1.0))
