"""Saved plans on the host: what they find, and that nothing but the planned is done."""

from __future__ import annotations

import getpass
import grp
import os
from pathlib import Path
from typing import Any

import pytest

from encamp.planning.plan import FLUSH, Item, Step
from encamp.resources.command import Command
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File
from encamp.shared.secret import Secret
from tests.agent.conftest import Converge, statuses
from tests.agent.kinds import Append, Needs, Wait

ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
KEY = Secret("k" * 40)
Expected = dict[str, list[str]]


def look(converge: Converge, *items: Item, key: Secret = KEY) -> Expected:
    """What a plan of these items finds."""
    found = converge(*items, check=True, diff=True, saved={"key": key})
    assert found[-1]["outcome"] == "ok", found
    return {event["step"]: [event["status"], event["found"]] for event in found if event["event"] == "step"}


def carry_out(converge: Converge, expected: Expected, *items: Item, check: bool = False) -> list[dict[str, Any]]:
    return converge(*items, check=check, diff=True, saved={"key": KEY, "expected": expected})


def test_what_was_planned_is_done(converge: Converge, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    items = [
        Directory(str(tmp_path / "d"), **ME),
        Step(File(str(tmp_path / "d/f"), "new\n", **ME), notify=(Append(log),)),
        FLUSH,
        Needs(log),
        Wait(str(tmp_path / "w")),
    ]
    expected = look(converge, *items)
    assert {step.split(":")[0]: status for step, (status, _) in expected.items()} == {
        "Directory": "changed",
        "File": "changed",
        "Append": "changed",
        "Needs": "unknown",
        "Wait": "unknown",
    }
    assert carry_out(converge, expected, *items, check=True)[-1]["outcome"] == "ok"
    done = carry_out(converge, expected, *items)
    assert done[-1]["outcome"] == "ok"
    assert (tmp_path / "d/f").read_text() == "new\n" and Path(log).read_text() == "ran\n"


@pytest.mark.parametrize("check", [True, False], ids=["compared", "applied"])
def test_a_host_that_moved_on_is_left_alone(converge: Converge, tmp_path: Path, check: bool) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    items = [File(str(first), "a\n", **ME), File(str(second), "b\n", **ME)]
    second.write_text("was\n")
    expected = look(converge, *items)
    second.write_text("is\n")
    done = carry_out(converge, expected, *items, check=check)[-1]
    assert done["outcome"] == "moved on" and f"File:{second}" in done["failure"]["detail"]
    assert not first.exists() and second.read_text() == "is\n"


def test_what_was_in_order_and_no_more_is_a_move_too(converge: Converge, tmp_path: Path) -> None:
    file = File(str(tmp_path / "f"), "x\n", **ME)
    converge(file)
    expected = look(converge, file)
    (tmp_path / "f").chmod(0o600)
    assert carry_out(converge, expected, file)[-1]["outcome"] == "moved on"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_content_of_a_secret_file_is_compared_and_not_told(converge: Converge, tmp_path: Path) -> None:
    path = tmp_path / "s"
    file = File(str(path), Secret("PASSWORD=new\n"), **ME)
    path.write_text("PASSWORD=1234\n")
    one, other = look(converge, file), look(converge, file, key=Secret("j" * 40))
    path.write_text("PASSWORD=1235\n")
    moved = look(converge, file)
    assert len({found[file.id][1] for found in (one, other, moved)}) == 3, "keyed, and of the content"
    assert carry_out(converge, one, file)[-1]["outcome"] == "moved on"
    assert path.read_text() == "PASSWORD=1235\n"


def test_a_file_is_looked_at_again_right_before_it_is_written(converge: Converge, tmp_path: Path) -> None:
    """What changes while earlier steps are at work is not overwritten either."""
    victim = tmp_path / "victim"
    victim.write_text("was\n")
    script = f"echo else > {victim}; touch {tmp_path / 'made'}"
    items = [
        Command("meanwhile", ("sh", "-c", script), creates=str(tmp_path / "made")),
        File(str(victim), "planned\n", **ME),
    ]
    expected = look(converge, *items)
    done = carry_out(converge, expected, *items)
    assert statuses(done)[f"File:{victim}"] == "failed" and victim.read_text() == "else\n"
    assert "not what the plan found" in done[-2]["reason"]


def test_a_handler_that_an_interrupted_run_left_is_planned_too(converge: Converge, tmp_path: Path) -> None:
    log, stop = tmp_path / "log", tmp_path / "stop"
    items = [File(str(tmp_path / "f"), **ME), Needs(str(tmp_path))]
    expected = look(converge, *items)
    failed = converge(Step(File(str(tmp_path / "g"), **ME), notify=(Append(str(log)),)), Needs(str(stop)))
    assert failed[-1]["outcome"] == "failed"
    done = carry_out(converge, expected, *items)
    assert done[-1]["outcome"] == "moved on" and "Append:" in done[-1]["failure"]["detail"]
    assert not log.exists() and not (tmp_path / "f").exists()
