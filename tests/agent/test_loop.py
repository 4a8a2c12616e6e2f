"""Check, apply, check again; check mode; handlers; what a failure says."""

from __future__ import annotations

import getpass
import grp
import os
from pathlib import Path

import pytest

from encamp.planning.plan import FLUSH, Step
from encamp.resources.command import Command
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File
from encamp.shared.secret import Secret
from encamp.transport.traffic import Traffic
from tests.agent.conftest import Converge, pythons, statuses
from tests.agent.kinds import Append, Broken, Needs, Noisy, Owned, OwnedBehind, Stubborn, Wait

ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.mark.parametrize("python", pythons())
def test_converges_then_changes_nothing(converge: Converge, tmp_path: Path, python: str) -> None:
    items = [Directory(str(tmp_path / "d"), **ME), File(str(tmp_path / "d/f"), "content\n", mode=0o640, **ME)]
    first = converge(*items, python=python)
    assert set(statuses(first).values()) == {"changed"}
    assert (tmp_path / "d/f").read_text() == "content\n"
    assert (tmp_path / "d/f").stat().st_mode & 0o777 == 0o640
    second = converge(*items, python=python)
    assert set(statuses(second).values()) == {"ok"}
    assert second[-1] == {**second[-1], "event": "done", "outcome": "ok"}


def test_repairs_exactly_what_was_broken(converge: Converge, tmp_path: Path) -> None:
    items = [File(str(tmp_path / name), name, **ME) for name in "abc"]
    converge(*items)
    (tmp_path / "b").chmod(0o600)
    found = converge(*items)
    assert [step for step, status in statuses(found).items() if status == "changed"] == [f"File:{tmp_path}/b"]
    (change,) = next(event for event in found if event.get("status") == "changed")["changes"]
    assert (change["what"], change["before"], change["after"]) == ("mode", "0600", "0644")


def test_check_mode_changes_nothing_and_tells_all(converge: Converge, tmp_path: Path) -> None:
    found = converge(
        Directory(str(tmp_path / "d"), **ME), File(str(tmp_path / "d/f"), "new\n", **ME), check=True, diff=True
    )
    assert set(statuses(found).values()) == {"changed"}
    assert list(tmp_path.iterdir()) == []
    assert "+new" in found[-2]["changes"][0]["diff"]


def test_check_mode_never_lies_about_what_depends_on_a_change(converge: Converge, tmp_path: Path) -> None:
    target = str(tmp_path / "f")
    assert statuses(converge(File(target, **ME), Needs(target), check=True))[f"Needs:{target}"] == "unknown"
    assert statuses(converge(Needs(target), check=True))[f"Needs:{target}"] == "failed"


def test_waiting_is_no_change(converge: Converge, tmp_path: Path) -> None:
    assert statuses(converge(Wait(str(tmp_path / "w")))) == {f"Wait:{tmp_path}/w": "ok"}


def test_a_handler_runs_once_for_several_changes_and_before_what_follows_the_flush(
    converge: Converge, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    handler = Append(str(log))
    files = [Step(File(str(tmp_path / name), **ME), notify=(handler,)) for name in "ab"]
    found = converge(*files, FLUSH, Needs(str(log)))
    assert list(statuses(found).values()) == ["changed", "changed", "changed", "ok"]
    assert log.read_text() == "ran\n"
    converge(*files, FLUSH, Needs(str(log)))
    assert log.read_text() == "ran\n"


def test_a_failure_does_not_lose_a_handler(converge: Converge, tmp_path: Path) -> None:
    log = tmp_path / "log"
    file = Step(File(str(tmp_path / "f"), **ME), notify=(Append(str(log)),))
    failed = converge(file, Needs(str(tmp_path / "missing")))
    assert failed[-1]["outcome"] == "failed" and not log.exists()
    (tmp_path / "missing").touch()
    second = converge(file, Needs(str(tmp_path / "missing")))
    assert second[-1]["outcome"] == "ok" and log.read_text() == "ran\n"


def test_a_proof_is_due_only_after_a_change_and_until_it_succeeded(converge: Converge, tmp_path: Path) -> None:
    file = File(str(tmp_path / "f"), **ME)
    proof = Step(Command("proof", ("false",), creates=str(tmp_path / "healthy")), when_changed=True)
    assert statuses(converge(file, proof))[proof.resource.id] == "failed"
    assert statuses(converge(file, proof))[proof.resource.id] == "failed", "an unproven change stays unproven"
    (tmp_path / "healthy").touch()
    assert statuses(converge(file, proof))[proof.resource.id] == "ok"
    assert proof.resource.id not in statuses(converge(file, proof))


def test_an_apply_that_does_not_converge_is_a_failure(converge: Converge) -> None:
    event = converge(Stubborn("x"))[-2]
    assert event["status"] == "failed" and "still not as declared: mood: bad -> good" in event["reason"]


def test_a_failure_names_step_cause_and_fix_and_ends_the_run(converge: Converge, tmp_path: Path) -> None:
    found = converge(Needs("/nowhere"), File(str(tmp_path / "f"), **ME))
    event = found[-2]
    assert (event["step"], event["reason"]) == ("Needs:/nowhere", "/nowhere is missing")
    assert (event["cause"], event["fix"]) == ("nobody made it", "make it")
    assert not (tmp_path / "f").exists()


def test_a_bug_in_a_kind_is_told_with_its_place(converge: Converge) -> None:
    event = converge(Broken("x"))[-2]
    assert event["status"] == "failed" and "IndexError" in event["reason"]
    assert "tests/agent/kinds.py" in event["detail"] and "return [][0]" in event["detail"]


def test_children_cannot_spoil_the_stream(converge: Converge, tmp_path: Path) -> None:
    assert converge(Noisy(str(tmp_path / "n")))[-1]["outcome"] == "ok"


def test_long_content_travels_only_when_the_host_lacks_it(converge: Converge, tmp_path: Path) -> None:
    # Random text: what compresses away would prove nothing.
    file = File(str(tmp_path / "big"), os.urandom(100_000).hex(), **ME)
    first, second = Traffic(), Traffic()
    converge(file, traffic=first)
    converge(file, traffic=second)
    assert (tmp_path / "big").read_text() == file.content
    assert first.sent > 100_000 > 40_000 > second.sent
    assert first.execs == second.execs == 1


def test_a_secret_reaches_its_file_and_nothing_else(converge: Converge, tmp_path: Path) -> None:
    secret = "p@ss %$\\\"' wörd"
    file = File(str(tmp_path / "s"), Secret(f"PASSWORD={secret}\n"), mode=0o600, **ME)
    found = converge(file, Needs(f"/nowhere/PASSWORD={secret}\n"), diff=True)
    assert (tmp_path / "s").read_text() == f"PASSWORD={secret}\n"
    assert secret not in repr(found)
    assert "withheld" in repr(found)


def test_check_mode_foretells_a_handler_once(converge: Converge, tmp_path: Path) -> None:
    file = Step(File(str(tmp_path / "f"), **ME), notify=(Append(str(tmp_path / "log")),))
    converge(file, Needs(str(tmp_path / "missing")))
    found = converge(file, FLUSH, check=True)
    assert [event["step"] for event in found if event["event"] == "step"].count(f"Append:{tmp_path}/log") == 1


def test_a_proof_is_owed_for_changes_of_its_own_part_only(converge: Converge, tmp_path: Path) -> None:
    """Two instances on a host: what changes in one gives the other nothing to prove; what they share concerns both."""

    def proved() -> list[str]:
        proofs = [
            Step(Command(f"proof-{part}", ("true",), "/"), when_changed=True, instance=part) for part in ("one", "two")
        ]
        files = [Step(File(str(tmp_path / part), part, **ME), instance=part) for part in ("one", "two")]
        found = statuses(converge(Step(File(str(tmp_path / "shared"), "s", **ME)), *files, *proofs))
        return [step.rpartition("-")[2] for step in found if step.startswith("Command:")]

    assert proved() == ["one", "two"], "all is new"
    (tmp_path / "two").write_text("damage")
    assert proved() == ["two"]
    (tmp_path / "shared").write_text("damage")
    assert proved() == ["one", "two"]
    assert proved() == []


@pytest.mark.parametrize("check", [False, True])
def test_what_is_the_owners_is_refused_before_the_first_change(converge: Converge, tmp_path: Path, check: bool) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    second.write_text("mine")
    third.write_text("mine")
    found = converge(Needs(str(tmp_path)), File(str(first), **ME), Owned(str(second)), Owned(str(third)), check=check)
    assert statuses(found) == {f"Needs:{tmp_path}": "ok", f"Owned:{second}": "failed"}
    failure = found[-2]
    assert (failure["reason"], failure["fix"]) == (f"{second} is the owner's", f"move {second} away")
    assert failure["detail"] == f"{third} is the owner's: move {third} away"
    assert found[-1]["outcome"] == "failed"
    assert not first.exists()
    assert second.read_text() == third.read_text() == "mine"


def test_a_run_without_changes_does_not_look_for_the_owners(converge: Converge, tmp_path: Path) -> None:
    path = tmp_path / "a"
    converge(Owned(str(path)))
    assert statuses(converge(Owned(str(path)))) == {f"Owned:{path}": "ok"}


def test_what_is_the_owners_is_refused_also_where_it_is_the_first_change(converge: Converge, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("mine")
    assert statuses(converge(Owned(str(path)), File(str(tmp_path / "b"), **ME))) == {f"Owned:{path}": "failed"}


def test_what_could_not_be_looked_at_is_refused_in_its_turn(converge: Converge, tmp_path: Path) -> None:
    door, mine = tmp_path / "door", tmp_path / "mine"
    mine.write_text("mine")
    items = (File(str(door), **ME), OwnedBehind(str(mine), door=str(door)))
    assert statuses(converge(*items)) == {items[0].id: "changed", items[1].id: "failed"}
    assert mine.read_text() == "mine"
    found = converge(*items)
    assert statuses(found) == {items[0].id: "ok", items[1].id: "failed"}
    assert found[-2]["reason"] == f"{mine} is the owner's"


def test_a_step_that_cannot_tell_whose_it_is_changes_nothing(converge: Converge, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    found = converge(OwnedBehind(str(mine), door=str(tmp_path / "door")))
    assert found[-2]["reason"] == f"{tmp_path / 'door'} does not answer" and mine.read_text() == "mine"
