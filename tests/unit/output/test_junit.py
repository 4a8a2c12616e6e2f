"""``--junit``: what CI systems read of a run, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encamp.errors import SettingsError, UsageError
from encamp.output.broadcast import ReportBroadcaster
from encamp.output.junit import JUnit, _legal
from encamp.output.outcome import Failure, Outcome
from tests.checkout import CHECKOUT

CHANGE = {"what": "mode", "before": "0600", "after": "0640", "diff": "-a\n+b\x1b[0m"}


def step(name: str, status: str = "ok", **more: Any) -> dict[str, Any]:
    changes = [CHANGE] if status == "changed" else []
    return {"event": "step", "step": name, "status": status, "changes": changes, "seconds": 1.5, **more}


def written(path: Path, error: BaseException | None = None) -> ET.Element:
    """The file of a run in which each host ended in its own way."""
    with ReportBroadcaster("deploy", False, [JUnit(str(path))], record=False) as told:
        told.start("/site", ["good", "bad", "away", "later"])
        good, bad, away = Outcome("good", "ok", notes=["mind\x00this"]), Outcome("bad", "failed"), Outcome("away")
        later = Outcome("later", left=("server", "worker"))
        told.expect([good, bad, away, later])
        told.event("good", step("File:/etc/a"))
        told.event("good", step("File:/etc/b", "changed"))
        event = step("Service:x", "failed", reason="it <does> not start", cause="no disk", fix="", detail="\x07]]>")
        bad.failure = Failure.of_step(event)
        told.event("bad", event)
        away.status, away.failure = "unreachable", Failure("", "no route", fix="look")
        if error:
            raise error
        told.end()
    return ET.parse(path).getroot()


def test_each_host_is_a_suite_and_each_step_a_case(tmp_path: Path) -> None:
    root = written(tmp_path / "junit.xml")
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "1",
        "errors": "1",
        "skipped": "2",
    }
    suites = {suite.get("name"): suite for suite in root.findall("testsuite")}
    assert list(suites) == ["good", "bad", "away", "later"]
    assert [case.get("name") for case in suites["good"].findall("testcase")] == ["File:/etc/a", "File:/etc/b"]
    assert suites["good"].findtext("system-out") == "mind\ufffdthis"
    assert "changed: mode: 0600 -> 0640" in (suites["good"].findtext("testcase/system-out") or "")
    failure = suites["bad"].find("testcase/failure")
    assert failure is not None and failure.get("message") == "it <does> not start"
    assert "cause:  no disk" in (failure.text or "") and "]]>" in (failure.text or "")
    error = suites["away"].find("testcase/error")
    assert error is not None and (error.get("type"), error.get("message")) == ("unreachable", "no route")
    assert [case.get("name") for case in suites["later"].findall("testcase[skipped]")] == ["server", "worker"]


def test_runs_of_one_command_stand_one_after_the_other(tmp_path: Path) -> None:
    """As those of a rotation. A run that does not end says so behind those that did."""
    path = tmp_path / "junit.xml"
    for code in (2, 0):
        with ReportBroadcaster("deploy", False, [JUnit(str(path), append=code == 0)], record=False) as told:
            outcome = Outcome("web1", "ok" if code == 0 else "failed", failure=Failure("", "full") if code else None)
            told.start("/site", ["web1"])
            told.expect([outcome])
            told.event("web1", step("File:/etc/a"))
            assert told.end() == code
    root = ET.parse(path).getroot()
    assert [suite.get("failures") for suite in root] == ["1", "0"] and root.get("tests") == "3"
    JUnit(str(path), append=True)
    assert [suite.get("errors") for suite in ET.parse(path).getroot()] == ["0", "0", "1"]


def test_a_file_to_go_on_with_that_is_no_longer_one(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text("<testsuites>", "utf-8")
    with pytest.raises(UsageError, match="another program"):
        JUnit(str(path), append=True)
    assert path.read_text("utf-8") == "<testsuites>"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("odd")])
def test_a_run_that_is_stopped_leaves_it_too(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "junit.xml"
    with pytest.raises(type(error)):
        written(path, error)
    assert len(ET.parse(path).getroot().findall("testsuite/testcase/failure")) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["junit.xml"]


def test_what_is_refused_before_any_host_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    with pytest.raises(SettingsError), ReportBroadcaster("deploy", False, [JUnit(str(path))], record=False):
        raise SettingsError("no setting prot", "did you mean port?")
    error = ET.parse(path).getroot().find("testsuite/testcase/error")
    assert error is not None and (error.get("message"), error.text) == ("no setting prot", "did you mean port?")


def test_a_killed_run_does_not_show_the_file_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    written(path)
    program = textwrap.dedent(f"""
        import os, signal
        from encamp.output.junit import JUnit
        JUnit({str(path)!r})
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert ET.parse(path).getroot().get("errors") == "1" and "is not finished" in path.read_text()


def test_a_path_that_cannot_be_written_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        JUnit(str(tmp_path / "no" / "junit.xml"))


def test_a_disk_that_fills_up_keeps_what_was_there_whole(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    program = textwrap.dedent(f"""
        import resource, signal, sys
        from encamp.output.junit import JUnit
        from encamp.output.broadcast import ReportBroadcaster
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with ReportBroadcaster("deploy", False, [JUnit({str(path)!r})], record=False) as told:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
            sys.exit(told.end())
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "File too large" in done.stderr
    assert "is not finished" in path.read_text() and os.listdir(tmp_path) == ["junit.xml"]


@given(st.text(st.characters()))
def test_any_text_is_made_legal(text: str) -> None:
    element = ET.Element("a", b=_legal(text))
    element.text = _legal(text)
    ET.fromstring(ET.tostring(element, encoding="utf-8"))


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    """As root, --junit /dev/null would leave the machine without that device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="not a regular file"):
        JUnit(str(pipe))
    assert pipe.is_fifo()


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    link = tmp_path / "junit.xml"
    link.symlink_to("reports/encamp.xml")
    written(link)
    assert link.is_symlink() and ET.parse(tmp_path / "reports/encamp.xml").getroot().get("failures") == "1"
