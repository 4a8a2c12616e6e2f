"""When a service counts as running, and as enabled."""

import pytest

from encamp.resources.base import Refused
from encamp.resources.systemd.service import Service
from tests.unit.resources.systemd.double import Answers, show


def differs(service: Service, **properties: object) -> list[str]:
    return [change.what for change in service.check(Answers(outputs=show(**properties)))]


def test_nothing_to_do():
    assert differs(Service("x")) == []


@pytest.mark.parametrize("state", [("failed", "failed"), ("activating", "auto-restart"), ("inactive", "dead")])
def test_a_unit_that_fails_or_rests_is_not_running(state):
    assert differs(Service("x"), ActiveState=state[0], SubState=state[1]) == ["running"]


def test_a_crash_loop_has_to_be_stopped():
    wanted = Service("x", running=False)
    assert differs(wanted, ActiveState="activating", SubState="auto-restart") == ["running"]
    assert differs(wanted, ActiveState="failed", SubState="failed") == []


def test_an_absent_unit_is_stopped_and_disabled():
    absent = {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "UnitFileState": ""}
    assert differs(Service("x", running=False, enabled=False), **absent) == []
    assert differs(Service("x"), **absent) == ["enabled", "running"]


@pytest.mark.parametrize(("state", "enabled"), [("enabled-runtime", True), ("static", False), ("disabled", False)])
def test_what_counts_as_enabled(state, enabled):
    assert differs(Service("x", enabled=enabled), UnitFileState=state) == []
    assert differs(Service("x", enabled=not enabled), UnitFileState=state) == ["enabled"]


def test_a_masked_unit_is_the_owners_decision():
    with pytest.raises(Refused):
        differs(Service("x"), LoadState="masked", ActiveState="inactive")
    assert differs(Service("x", False, False), LoadState="masked", ActiveState="inactive", UnitFileState="masked") == []


def test_kinds_that_look_at_one_unit_ask_once():
    host = Answers(outputs=show())
    Service("x").check(host)
    Service("x.service", enabled=False).check(host)
    assert len(host.asked) == 1
