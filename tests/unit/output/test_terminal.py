"""Output on a real pseudo-terminal: what is seen, and in which state the terminal is left."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from encamp.output.terminal import has_colours, has_live, printable
from tests.unit.terminals import CHECKOUT, terminal

#: A run whose hosts do what their events say, then wait for a file: ``hosts``, ``events`` and ``done`` are filled in.
RUN = """
import pathlib, sys, threading, time
from encamp.cli.task import guarded
from encamp.output.console import console
from encamp.output.outcome import Outcome
from encamp.output.broadcast import ReportBroadcaster, json_report

events = {events!a}
folder = pathlib.Path({folder!r})

def command():
    files = [json_report(str(folder / "events"))]
    with ReportBroadcaster("deploy", False, [console(sys.stdout, False, False), *files], record=None) as told:
        outcomes = [Outcome(host) for host in {hosts!r}]
        told.start("/site", [outcome.host for outcome in outcomes])
        told.expect(outcomes)
        for outcome in outcomes[:{at_work}]:
            outcome.status = "interrupted"
            told.event(outcome.host, {{"event": "connect", "stages": ["server"], "steps": 12}})
            for event in events:
                told.event(outcome.host, event)
        (folder / "begun").touch()
        while not (folder / "go").exists():
            time.sleep(0.05)
        for outcome in outcomes[:{at_work}]:
            outcome.status = "ok"
            told.ended(outcome)
        return told.end()

sys.exit(guarded(command))
"""
START = {"event": "start", "step": "PythonEnv:/opt/prefect", "number": 4}
UPLOAD = {"event": "measure", "text": "sending uv", "done": 3_000_000, "total": 12_000_000}
CHANGED = {
    "event": "step",
    "step": "File:/etc/x",
    "status": "changed",
    "seconds": 0.1,
    "changes": [{"what": "text", "before": "a", "after": "\u2192 \u00fc", "diff": "+\x1b[2J\x07\u2192\udcff"}],
}


def program(folder: Path, *events: object, hosts: int = 1, at_work: int = 1) -> str:
    names = [f"web{number}" for number in range(1, hosts + 1)]
    return RUN.format(events=events, folder=str(folder), hosts=names, at_work=at_work)


def begun(folder: Path) -> bool:
    return (folder / "begun").exists()


def test_a_host_shows_its_step_its_time_and_a_bar(tmp_path: Path) -> None:
    with terminal(program(tmp_path, START, UPLOAD, CHANGED)) as shown:
        lines = shown.until(lambda lines: any("sending uv" in line for line in lines))
        assert lines[0].startswith("web1  changed  File:/etc/x  text: a -> ")
        assert lines[-1].startswith("web1   5/12  0:0") and "[#####...............]  25%  sending uv" in lines[-1]
        first = lines[-1]
        shown.until(lambda lines: lines[-1] != first)  # the time goes on without any event
        (tmp_path / "go").touch()
        assert shown.end() == 0
        after = shown.shown()
        assert not any("sending uv" in line for line in after) and after[-2:-1] == ["recap"]
        assert after[-1].startswith("  web1  ok=0 changed=0 failed=0")


def test_foreign_text_does_not_steer_the_terminal(tmp_path: Path) -> None:
    with terminal(program(tmp_path, CHANGED)) as shown:
        shown.until(lambda lines: begun(tmp_path) and any("web1   0/12" in line for line in lines))
        assert "    +\\x1b[2J\\x07\u2192\\udcff" in shown.shown()
        assert b"\x1b[2J" not in shown.raw and b"\x07" not in shown.raw


@pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C"}])
def test_any_locale_will_do(tmp_path: Path, locale: dict[str, str]) -> None:
    """With PEP 538 and 540 switched off, Python itself takes C for ASCII."""
    with terminal(program(tmp_path, START, UPLOAD, CHANGED), **locale) as shown:
        shown.until(lambda lines: any("sending uv" in line for line in lines))
        (tmp_path / "go").touch()
        assert shown.end() == 0
        if "PYTHONUTF8" in locale:
            assert shown.raw.isascii() and rb"\u2192 \xfc" in shown.raw
        assert b"Error" not in shown.raw


def test_more_hosts_than_lines_are_counted(tmp_path: Path) -> None:
    with terminal(program(tmp_path, START, hosts=40, at_work=30), lines=10) as shown:
        lines = shown.until(lambda lines: bool(lines) and lines[-1] == "30 at work, 10 waiting")
        assert sum("PythonEnv" in line for line in lines) == 7
        shown.resize(40, 6)
        lines = shown.until(lambda lines: sum("PythonEnv" in line for line in lines[-4:]) == 3)
        assert lines[-1] == "30 at work, 10 waiting" and all(len(line) <= 40 for line in lines)
        (tmp_path / "go").touch()
        assert shown.end() == 0


@pytest.mark.parametrize("columns", [1, 5, 20])
def test_a_narrow_window_cuts_lines(tmp_path: Path, columns: int) -> None:
    with terminal(program(tmp_path, START, UPLOAD), columns=columns) as shown:
        shown.until(lambda lines: begun(tmp_path) and lines[-1:] == ["web1   5/12  0:00  [####"[:columns].rstrip()])
        (tmp_path / "go").touch()
        assert shown.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_terminal_is_left_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    with terminal(program(tmp_path, START)) as shown:
        shown.until(lambda lines: any("PythonEnv" in line for line in lines))
        shown.process.send_signal(number)
        assert shown.end() == (130 if number != signal.SIGKILL else -number)
        assert not shown.cursor_is_hidden and b"?1049h" not in shown.raw
        assert shown.modes_now() == shown.modes
        if number != signal.SIGKILL:
            lines = shown.shown()
            assert any(line.startswith("  web1  interrupted") for line in lines) and lines[-1].startswith("stopped:")


def test_a_closed_window_ends_the_run_in_order(tmp_path: Path) -> None:
    with terminal(program(tmp_path, START)) as shown:
        shown.until(lambda lines: any("PythonEnv" in line for line in lines))
        shown.hang_up()
        shown.process.wait(timeout=60)
    events = [json.loads(line) for line in (tmp_path / "events").read_bytes().splitlines()]
    assert events[-1]["event"] == "recap" and events[-1]["exit_code"] == 130


@pytest.mark.parametrize(
    ("env", "live", "colours"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"CI": "true"}, False, True),
        ({"COLUMNS": "0"}, False, True),
        ({"CI": "true", "NO_COLOR": "1"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, True),
    ],
)
def test_what_the_environment_asks_for(tmp_path: Path, env: dict[str, str], live: bool, colours: bool) -> None:
    (tmp_path / "go").touch()
    with terminal(program(tmp_path, START, CHANGED), **env) as shown:
        assert shown.end() == 0
        assert (b"\x1b[33m" in shown.raw or b"\x1b[1;33m" in shown.raw) is colours
        assert (b"\x1b[2K" in shown.raw) is live


def test_without_a_terminal_there_are_plain_lines_and_no_rich(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    source = program(tmp_path, START, CHANGED).replace("sys.exit(", "code = ").rstrip().rstrip(")") + ")"
    source += "\nassert 'rich' not in sys.modules\n"
    done = subprocess.run([sys.executable, "-c", source], cwd=CHECKOUT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"\x1b" not in done.stdout and done.stdout.startswith(b"web1  changed  File:/etc/x")


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_empty_variable_says_nothing() -> None:
    quiet = {"NO_COLOR": "", "FORCE_COLOR": "", "CI": "", "TERM": "xterm"}
    assert has_colours(Tty(), quiet) and has_live(Tty(), quiet)
    assert not has_colours(io.StringIO(), quiet) and not has_live(io.StringIO(), quiet)
    assert not has_colours(Tty(), {"TERM": "xterm", "FORCE_COLOR": "0"})


def test_only_what_steers_is_rewritten() -> None:
    assert printable("a\tb \u00fc \u2192 \U0001f600") == "a\tb \u00fc \u2192 \U0001f600"
    assert printable("\x1b]0;title\x07\r\x9b1m\u202egnp") == "\\x1b]0;title\\x07\\r\\x9b1m\\u202egnp"
