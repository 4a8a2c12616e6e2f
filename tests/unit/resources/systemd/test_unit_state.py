"""What we make of ``systemctl show``."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.base import Failure
from encamp.resources.systemd.unit_state import parse_show, unit_name, unit_state
from tests.unit.resources.case_host import CaseHost

CRASHED = """\
MainPID=0
NRestarts=4
Result=exit-code
ExecMainStatus=217
LoadState=loaded
ActiveState=activating
SubState=auto-restart
UnitFileState=enabled
NeedDaemonReload=no
InactiveExitTimestampMonotonic=2500000
ActiveEnterTimestampMonotonic=2600000
"""


def test_a_crash_loop_is_neither_active_nor_stopped():
    state = parse_show(CRASHED)
    assert state.broken and not state.active and not state.stopped
    assert (state.restarts, state.begun, state.active_since) == (4, 2.5, 2.6)
    assert state.why() == "its user does not exist, or systemd could not switch to it"
    assert str(state) == "failing (auto-restart)"


def test_an_unknown_exit_status_is_told_as_it_is():
    assert "exited with status 3" in parse_show(CRASHED.replace("217", "3")).why()


def test_an_absent_unit():
    state = parse_show("LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\nMainPID=\n")
    assert not state.exists and not state.enabled and state.stopped and not state.broken
    assert str(state) == "no such unit"


def test_a_load_error_is_the_cause():
    state = parse_show(
        'LoadState=bad-setting\nLoadError=org.freedesktop.systemd1.BadUnitSetting "Unit x.service has a bad setting."\n'
    )
    assert state.why() == "Unit x.service has a bad setting."


def test_a_value_may_hold_an_equals_sign():
    assert parse_show("LoadState=loaded\nLoadError=a b=c\n").load_error == "b=c"


def test_units_are_services_unless_they_say_otherwise():
    assert unit_name("prefect-server") == "prefect-server.service"
    assert unit_name("postgresql@15-main") == "postgresql@15-main.service"
    assert unit_name("prefect-backup.timer") == "prefect-backup.timer"
    assert unit_name("release-3.8") == "release-3.8.service"


@pytest.mark.parametrize(
    ("directories", "cause"),
    [({}, "was not booted with systemd"), ({"/run/systemd/system": {}}, "systemd runs; it hangs, or D-Bus does")],
)
def test_a_host_without_systemd_is_told_from_one_that_hangs(directories: dict[str, Any], cause: str) -> None:
    said = {"code": 1, "err": "Failed to connect to bus: Connection refused"}
    with pytest.raises(Failure, match=r"does not answer about x\.service") as raised:
        unit_state(CaseHost({"directories": directories, "answers": {"systemctl show *": said}}), "x")
    assert cause in raised.value.cause
