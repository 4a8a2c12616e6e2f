"""What programs read of a run: valid, whatever happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encamp.errors import UsageError
from encamp.output.broadcast import ReportBroadcaster, json_report
from encamp.output.json_lines import FORMAT, LineFile, json_line
from encamp.output.outcome import Outcome
from tests.checkout import CHECKOUT

values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=8,
)


def strict(line: bytes) -> Any:
    """Parse as the strictest parsers do: no NaN, no half of a surrogate pair."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    data = json.loads(line, parse_constant=refuse)
    json.dumps(data, ensure_ascii=False).encode("utf-8")
    return data


@given(st.dictionaries(st.text(st.characters()), values))
def test_whatever_a_host_says_is_one_line_of_strict_json(data: dict[str, Any]) -> None:
    line = json_line(data)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    strict(line)


def test_odd_values_are_kept_where_json_can() -> None:
    odd = {"nul": "\0\x1b[31m", "pair": "\U0001f600", "half": "a\udcffb", "line": "\u2028", "nan": float("nan")}
    assert strict(json_line(odd)) == {**odd, "half": "a?b", "nan": "NaN"}


def told(path: Path, **step: Any) -> list[Any]:
    """The events of a run of one host, after which the command ends in ``step``'s way."""
    error = step.pop("error", None)
    try:
        with ReportBroadcaster("deploy", False, [json_report(str(path))], record=None) as reports:
            reports.start("/site", ["vm1"])
            outcome = Outcome("vm1")
            reports.expect([outcome])
            outcome.status = "interrupted"
            if error:
                raise error
            outcome.status = "ok"
            reports.ended(outcome)
            reports.end()
    except BaseException as raised:
        assert raised is error
    return [strict(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (None, 0, "ok"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (UsageError("no", "yes"), 1, "interrupted"),
        (RuntimeError("never thought of"), 1, "interrupted"),
    ],
)
def test_the_first_event_is_the_version_and_the_last_the_recap(
    tmp_path: Path, error: BaseException | None, code: int, status: str
) -> None:
    first, *_, last = told(tmp_path / "events", error=error)
    assert (first["event"], first["format"], first["hosts"]) == ("run", FORMAT, ["vm1"])
    assert (last["event"], last["exit_code"], last["lost_events"]) == ("recap", code, 0)
    assert [(host["host"], host["status"]) for host in last["hosts"]] == [("vm1", status)]


def test_an_error_before_any_host_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("what an earlier run left")
    with (
        pytest.raises(UsageError),
        ReportBroadcaster("deploy", False, [json_report(str(tmp_path / "events"))], record=None),
    ):
        raise UsageError("no hosts", "name some")
    events = [strict(line) for line in (tmp_path / "events").read_bytes().splitlines()]
    assert [event["event"] for event in events] == ["run", "error", "recap"]
    assert events[1]["reason"] == "no hosts" and events[1]["fix"] == "name some"


def test_a_file_that_cannot_be_made_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        json_report(str(tmp_path / "no" / "events"))


def test_a_full_disk_costs_events_and_never_half_a_line(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: a write is then short, too."""
    program = textwrap.dedent(f"""
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        from encamp.output.broadcast import ReportBroadcaster, json_report
        with ReportBroadcaster("deploy", False, [json_report({str(tmp_path / "events")!r})], record=None) as told:
            told.start("/site", ["vm1"])
            for length in (100, 5000, 100, 100_000, 10):
                told.event("vm1", {{"event": "note", "text": "x" * length}})
            sys.exit(told.end())
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    events = [strict(line) for line in (tmp_path / "events").read_bytes().splitlines()]
    assert [len(event.get("text", "")) for event in events[1:-1]] == [100, 100, 10]
    assert events[-1]["event"] == "recap" and events[-1]["lost_events"] == 2
    assert done.returncode == 0 and "2 events are missing" in done.stderr and "File too large" in done.stderr


def test_a_reader_that_is_gone_costs_events_only() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = LineFile(writer)
    file.append(b"one\n")
    file.append(b"two\n")
    assert file.lost == 2 and file.problem == "Broken pipe"
    file.close()


def test_a_dash_gives_standard_output_to_programs_alone(tmp_path: Path) -> None:
    """And to nothing else: not to what a library or a later line prints."""
    program = textwrap.dedent("""
        import os
        from encamp.output.outcome import Outcome
        from encamp.output.plain import PlainLines
        from encamp.output.terminal import report
        from encamp.output.broadcast import ReportBroadcaster, json_report
        import sys
        for append in (False, True):
            listeners = [json_report("-", append), PlainLines(sys.stdout, False)]
            told = ReportBroadcaster("deploy", False, listeners, record=None)
            with told:
                told.start("/site", ["vm1"])
                told.expect([Outcome("vm1")])
                told.event("vm1", {"event": "note", "text": "for both"})
                print("for people")
                os.system("echo of a child")
                told.end()
        report("after all")
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert [strict(line.encode())["event"] for line in done.stdout.splitlines()] == ["run", "note", "recap"] * 2
    for words in ("for people", "of a child", "note     for both", "after all", "recap"):
        assert words in done.stderr


def test_a_second_run_of_a_command_goes_on_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("of another day\n")
    for append in (False, True):
        with ReportBroadcaster("deploy", False, [json_report(str(path), append)], record=None) as reports:
            reports.start("/site", ["vm1"])
            reports.end()
    assert [strict(line)["event"] for line in path.read_bytes().splitlines()] == ["run", "recap"] * 2


def test_a_killed_run_leaves_whole_lines(tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import os, signal
        from encamp.output.broadcast import ReportBroadcaster, json_report
        told = ReportBroadcaster("deploy", False, [json_report({str(tmp_path / "events")!r})], record=None)
        told.start("/site", ["vm1"])
        told.event("vm1", {{"event": "note", "text": "x" * 3_000_000}})
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=False)
    assert done.returncode == -signal.SIGKILL
    events = [strict(line) for line in (tmp_path / "events").read_bytes().splitlines()]
    assert [event["event"] for event in events] == ["run", "note"] and len(events[1]["text"]) == 3_000_000
