"""When a restart is still due."""

from encamp.resources.base import Mark
from encamp.resources.systemd.restart import Reload, Restart
from tests.unit.resources.systemd.double import Answers, show

BOOT = "/proc/sys/kernel/random/boot_id"
MARK = Mark("this-boot", 100.0)


def due(boot: str = "this-boot", **properties: object) -> bool:
    host = Answers({BOOT: boot + "\n"}, show(**properties))
    assert Restart("x").needed(host, MARK) == Reload("x").needed(host, MARK)
    return Restart("x").needed(host, MARK)


def test_due_when_started_before_the_change():
    assert due(InactiveExitTimestampMonotonic=99_000_000)


def test_done_when_started_since():
    assert not due(InactiveExitTimestampMonotonic=101_000_000)


def test_due_when_the_start_began_before_and_ended_after_the_change():
    assert due(InactiveExitTimestampMonotonic=99_000_000, ActiveEnterTimestampMonotonic=105_000_000)


def test_done_when_the_host_was_rebooted_since():
    assert not due("another-boot", InactiveExitTimestampMonotonic=5_000_000)


def test_a_stopped_unit_is_left_to_its_service():
    assert not due(ActiveState="inactive", SubState="dead")


def test_a_unit_that_is_just_starting_may_have_read_the_old_settings():
    assert due(ActiveState="activating", SubState="start", InactiveExitTimestampMonotonic=99_000_000)
    assert not due(ActiveState="activating", SubState="start", InactiveExitTimestampMonotonic=101_000_000)


def test_a_failing_unit_is_restarted():
    assert due(ActiveState="failed", SubState="failed", InactiveExitTimestampMonotonic=101_000_000)
    assert due("another-boot", ActiveState="activating", SubState="auto-restart")
