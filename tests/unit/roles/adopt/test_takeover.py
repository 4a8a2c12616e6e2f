"""Stopping a server reversibly, and what is refused before; the takeover itself is tried on hosts (test_adopt)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from encamp.resources.base import Failure, Refused
from encamp.shared.record import replace, values
from roles.adopt.kinds.adoption import DONE, RETURNED, RETURNING, TAKEN, TAKING, Adoption, Places, adoption_of
from roles.adopt.kinds.adoption_kept import AdoptionKept
from roles.adopt.kinds.server_place import ServerPlace
from roles.adopt.kinds.stopping import DISABLED, stop
from roles.adopt.kinds.takeover import AdoptionReady, Takeover, TakeoverEnd, TakeoverUndone
from roles.adopt.kinds.way_back_script import SCRIPT
from tests.unit.resources.case_host import CaseHost

RECORD = Places("default").record
BASIS = Adoption("old.service", "unit", "flows", "old.service", "prefect-server.service")
READY = AdoptionReady("old.service", "default", "3.9.1", "file", 4200, "prefect-server.service")
TAKEOVER = Takeover("old.service", "default", "prefect-server.service", 4200, "/data/prefect.db", owner="prefect")


def text(adoption: Adoption) -> str:
    names = list(Adoption.__record_fields__)  # type: ignore[attr-defined]
    return json.dumps(dict(zip(names, values(adoption), strict=True)))


def host_with(adoption: Adoption | None = None, **more: Any) -> CaseHost:
    files = {RECORD: text(adoption)} if adoption else {}
    return CaseHost({"files": {**files, **more.pop("files", {})}, "units": more.pop("units", {}), **more})


def test_what_is_kept_is_read_as_it_was_written() -> None:
    adoption = replace(BASIS, boot={"/x:3": "@reboot y"}, argv=("a", "b"), data={"kind": "url"})
    assert adoption_of(host_with(adoption), "default") == adoption
    assert adoption_of(host_with(), "default") is None
    with pytest.raises(Failure, match="cannot be read"):
        adoption_of(CaseHost({"files": {RECORD: "{"}}), "default")


@pytest.mark.parametrize(
    ("state", "takes"), [(TAKING, True), (TAKEN, False), (DONE, False), (RETURNING, True), (RETURNED, True)]
)
def test_a_server_is_taken_over_once(state: str, takes: bool) -> None:
    host = host_with(replace(BASIS, state=state), files={"/data/prefect.db": "x"})
    assert bool(TAKEOVER.check(host)) is takes
    assert bool(TakeoverEnd("default").check(host)) is (state != DONE)
    assert bool(TakeoverUndone("default").check(host)) is (state != RETURNED)


@pytest.mark.parametrize("state", [TAKEN, DONE])
def test_an_adopted_servers_data_that_is_gone_is_not_replaced_by_an_empty_server(state: str) -> None:
    with pytest.raises(Refused, match=r"/data/prefect.db, with the data of old.service .*, is gone"):
        TAKEOVER.check(host_with(replace(BASIS, state=state)))


def test_nothing_to_undo_and_nothing_to_adopt_are_refused() -> None:
    with pytest.raises(Refused, match="nothing to undo"):
        TakeoverUndone("default").check(host_with())
    with pytest.raises(Refused, match=r"no server old.service to adopt on this host \(found: none\)"):
        READY.check(host_with())


@pytest.mark.parametrize("state", [TAKING, TAKEN, DONE, RETURNING])
def test_an_instance_continues_one_server_at_a_time(state: str) -> None:
    host = host_with(replace(BASIS, name="other.service", state=state))
    with pytest.raises(Refused, match=r"this instance continues other.service, not old.service"):
        READY.check(host)
    with pytest.raises(Refused, match=r"continues other.service already"):
        TAKEOVER.apply(host, [])
    assert host.done == []


def test_a_return_that_was_cut_off_is_finished_first() -> None:
    with pytest.raises(Refused, match=r"the return to old.service was cut off") as raised:
        READY.check(host_with(replace(BASIS, state=RETURNING)))
    assert "`fab adopt --undo` finishes it" in raised.value.fix


PLACE = ServerPlace(4200, "prefect-server.service", "default", "vm1")


@pytest.mark.parametrize("state", [TAKING, TAKEN, RETURNING])
def test_adopt_is_not_removed_from_the_inventory_before_the_takeover_is_over(state: str) -> None:
    with pytest.raises(Refused, match=rf"old.service is not taken over yet \(state {state}\)") as raised:
        PLACE.check(host_with(replace(BASIS, state=state)))
    assert "set adopt: old.service again" in raised.value.fix
    assert "`fab -H vm1 adopt --undo`" in raised.value.fix


@pytest.mark.parametrize("state", [DONE, RETURNED])
def test_adopt_may_be_removed_when_it_is_over(state: str) -> None:
    assert PLACE.check(host_with(replace(BASIS, state=state))) == []


@pytest.mark.parametrize(
    ("state", "words"), [(DONE, "it stays stopped"), (TAKEN, "starts again by itself"), (RETURNED, "")]
)
def test_an_undeploy_names_the_way_back_that_it_keeps(state: str, words: str) -> None:
    host = host_with(replace(BASIS, state=state))
    assert AdoptionKept("default", "vm1").check(host) == []
    assert [words in note and "`fab -H vm1 adopt --undo` starts it" in note for note in host.notes] == [True] * bool(
        words
    )
    assert AdoptionKept("default", "vm1").check(host_with()) == []


def test_a_timer_that_a_cut_off_left_is_removed() -> None:
    timer = "/etc/systemd/system/encamp-adopted-default.timer"
    host = host_with(replace(BASIS, state=DONE), files={timer: "x"}, answers={"systemctl *": ""})
    assert TakeoverEnd("default").check(host)
    TakeoverEnd("default").apply(host, [])
    assert host.stat(timer) is None
    assert TakeoverEnd("default").check(host) == []


def test_an_adopted_server_is_not_looked_for_again() -> None:
    assert READY.check(host_with(replace(BASIS, state=DONE))) == []


def test_data_that_no_takeover_brought_is_never_replaced() -> None:
    host = host_with(replace(BASIS, state=RETURNED), files={"/data/prefect.db": "x"})
    TAKEOVER._require_target(host)
    with pytest.raises(Refused, match=r"/data/prefect.db exists"):
        TAKEOVER._require_target(host_with(files={"/data/prefect.db": "x"}))


def test_a_unit_is_disabled_and_a_condition_keeps_others_from_starting_it() -> None:
    guard = "/etc/systemd/system/old.service.d/zz-encamp-adopted.conf"
    host = host_with(units={"old.service": {}})
    stop(host, replace(BASIS, guard=guard), 4200)
    done = [what for what, _ in host.done]
    assert done[:2] == ["systemctl disable --quiet -- old.service", "systemctl stop -- old.service"]
    assert done[-1] == "systemctl daemon-reload"
    assert b"ConditionPathExists=/nonexistent/" in (host.read(guard) or b"")


def test_a_line_at_boot_becomes_a_comment_and_comes_back(tmp_path: Path) -> None:
    table = tmp_path / "crontab"
    table.write_text("MAILTO=x\n@reboot start\n0 3 * * * backup\n")
    before = table.read_text()
    place = f"{table}:2"
    adoption = replace(BASIS, kind="process", unit="", boot={place: "@reboot start"})
    host = host_with(files={str(table): before})
    stop(host, adoption, 4200)
    changed = (host.read(str(table)) or b"").decode()
    assert changed.splitlines() == ["MAILTO=x", f"{DISABLED}@reboot start", "0 3 * * * backup"]

    # Its owner has edited the file since: the line is found wherever it stands by now.
    table.write_text(f"PATH=/x\n{changed}")
    way_back(tmp_path)["restore_boot_lines"](json.loads(text(adoption)))
    assert table.read_text() == f"PATH=/x\n{before}"


def test_moved_files_come_back_and_the_guard_goes(tmp_path: Path) -> None:
    unit, copy = tmp_path / "system" / "u.service", tmp_path / "copy"
    guard = tmp_path / "system" / "u.service.d" / "zz.conf"
    guard.parent.mkdir(parents=True)
    guard.write_text("x")
    copy.write_text("[Unit]\n")
    record = json.loads(text(replace(BASIS, moved={str(unit): str(copy)}, guard=str(guard))))
    way_back(tmp_path)["restore_files"](record)
    way_back(tmp_path)["remove_guard"](record)
    assert unit.read_text() == "[Unit]\n"
    assert not guard.parent.exists()


def way_back(folder: Path) -> dict[str, Any]:
    """The functions of the program that leads back."""
    names: dict[str, Any] = {"__file__": str(folder / "way_back.py")}
    exec(SCRIPT.rpartition("\nmain()")[0], names)
    return names


def test_a_port_that_is_taken_again_is_named_with_its_possible_causes() -> None:
    table = "  sl  local rem st\n   0: 00000000:1068 00000000:0000 0A 0 0 0 0 0 1\n"
    with pytest.raises(Failure, match="something listens on port 4200") as raised:
        stop(host_with(files={"/proc/net/tcp": table}), replace(BASIS, kind="process", unit=""), 4200)
    assert "loop in a script" in raised.value.cause
