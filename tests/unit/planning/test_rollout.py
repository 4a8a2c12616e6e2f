"""The pace of a rollout, and what the next command can tell of the last one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from encamp.errors import Unreachable, UsageError
from encamp.output import history
from encamp.output.broadcast import ReportBroadcaster
from encamp.output.outcome import Outcome
from encamp.planning import plan, rollout
from encamp.planning.rollout import ALL_AT_ONCE, Amount, Mode, Rollout, Wave
from encamp.resources.files.directory import Directory
from encamp.running.run import Run
from tests.unit.running.test_run import ProgramConnector

HOSTS = ("a", "b", "c", "d", "e")
STAGE = ("s",)


def ran(bad: str, pace: Rollout, waves: int = 1, forks: int = 1) -> dict[str, str]:
    """How each host ends when those of ``bad`` cannot be reached."""
    programs = {host: Unreachable("away") if host in bad else sys.executable for host in HOSTS}
    stages = [(f"s{number}",) for number in range(waves)]
    plans = {(host, stage): plan.build(host, [Directory("/tmp")]) for host in HOSTS for stage in stages}
    run = Run("deploy", Mode(check=True, forks=forks, rollout=pace), ProgramConnector(programs), ())
    outcomes = run.converge([Wave(stage[0], dict.fromkeys(HOSTS, stage)) for stage in stages], plans)
    return {outcome.host: outcome.status for outcome in outcomes}


def reached(statuses: dict[str, str]) -> str:
    return "".join(host for host, status in statuses.items() if status != "not reached")


def test_without_a_pace_all_hosts_of_a_stage_are_begun() -> None:
    assert reached(ran("a", ALL_AT_ONCE)) == "abcde"


@pytest.mark.parametrize(
    ("bad", "batch", "max_fail", "wanted"),
    [
        ("", "2", "", "abcde"),
        ("b", "2", "", "ab"),
        ("c", "2", "", "abcd"),
        ("b", "2", "1", "abcde"),
        ("ac", "1", "1", "abc"),
        ("ab", "40%", "40%", "abcde"),
        ("abc", "20%", "40%", "abc"),
        ("a", "10%", "", "a"),
    ],
)
def test_batches_go_on_as_long_as_few_enough_fail(bad: str, batch: str, max_fail: str, wanted: str) -> None:
    assert reached(ran(bad, rollout.parse(batch, max_fail, False))) == wanted


def test_any_error_is_fatal_where_it_is_said_so() -> None:
    assert reached(ran("b", rollout.parse("", "", True))) == "ab"


def test_a_host_that_failed_has_no_part_in_what_comes_next() -> None:
    found = ran("b", rollout.parse("", "1", False), waves=2)
    assert found == {"a": "ok", "b": "unreachable", "c": "ok", "d": "ok", "e": "ok"}


@pytest.mark.parametrize(
    ("batch", "max_fail", "fatal"),
    [("0", "", False), ("-1", "", False), ("x", "", False), ("101%", "", False), ("1", "1.5", False), ("1", "1", True)],
)
def test_what_is_no_pace_is_refused(batch: str, max_fail: str, fatal: bool) -> None:
    with pytest.raises(UsageError):
        rollout.parse(batch, max_fail, fatal)


def test_a_share_of_few_hosts_is_at_least_one_at_a_time() -> None:
    assert [list(batch) for batch in Rollout(Amount(10, True)).batches(dict.fromkeys("abc"))] == [["a"], ["b"], ["c"]]


def record(folder: Path, command: str, statuses: dict[str, str], check: bool = False, whole: bool = True) -> None:
    """Leave the record of a run that ended so; a run that is not ``whole`` was killed before its recap."""
    told = ReportBroadcaster(command, check, [], folder)
    told.start("/site", list(statuses))
    outcomes = [Outcome(host, status) for host, status in statuses.items()]
    told.expect(outcomes)
    for outcome in outcomes:
        if outcome.status != "not reached":
            told.ended(outcome)
    if whole:
        told.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where records go, for one test."""
    return tmp_path / "runs"


@pytest.mark.parametrize("whole", [True, False])
def test_the_last_run_is_the_one_of_that_command_that_was_no_check(folder: Path, whole: bool) -> None:
    record(folder, "deploy", {"a": "ok", "b": "failed", "c": "not reached", "d": "unreachable"}, whole=whole)
    record(folder, "deploy", {"a": "failed"}, check=True)
    record(folder, "verify", {"a": "failed"})
    found = history.last_run("deploy", "/site", folder)
    assert found and found.not_well == ["b", "c", "d"]
    assert (found.seconds is None) is not whole
    assert history.last_run("deploy", "/other", folder) is None


def test_a_record_that_was_cut_off_counts_as_far_as_it_goes(folder: Path) -> None:
    """Or --retry would take the hosts of an older run."""
    record(folder, "deploy", {"a": "ok", "b": "ok"})
    record(folder, "deploy", {"a": "ok", "b": "failed"}, whole=False)
    latest = max(folder.iterdir())
    latest.write_bytes(latest.read_bytes() + b'{"host": "b", "eve')
    found = history.last_run("deploy", "/site", folder)
    assert found and found.not_well == ["b"] and found.seconds is None


def test_records_are_private_and_few(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEEP", 3)
    for _ in range(5):
        record(folder, "deploy", {"a": "ok"})
    files = list(folder.iterdir())
    assert len(files) == 3 and {path.stat().st_mode & 0o777 for path in files} == {0o600}
    files[0].write_text("not json")
    assert len(list(history.past_runs(folder))) == 2


@pytest.mark.parametrize("text", ["[]\n", '{"event": "run"}\n', '{"event": "run"}\n"recap"\n'])
def test_a_record_that_no_run_wrote_is_left_out(folder: Path, text: str) -> None:
    record(folder, "deploy", {"a": "ok"})
    (folder / "99999999T000000.000000-deploy-1.jsonl").write_text(text)
    assert [one.command for one in history.past_runs(folder)] == ["deploy"]


def test_a_record_that_cannot_be_made_is_told_and_no_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write_text("a file where the folder is to be")
    record(folder, "deploy", {"a": "ok"})
    assert "this run is not recorded" in capsys.readouterr().err
