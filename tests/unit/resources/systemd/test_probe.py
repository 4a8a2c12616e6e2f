"""How long a unit has to be up."""

import time

from encamp.resources.systemd.probe import SystemdProbe
from tests.unit.resources.systemd.double import Answers, show


def differs(seconds_up: float, **properties: object) -> list[str]:
    since = int((time.monotonic() - seconds_up) * 1e6)
    host = Answers(outputs=show(ActiveEnterTimestampMonotonic=since, **properties))
    return [str(change) for change in SystemdProbe("x", stable_seconds=5).check(host)]


def test_up_long_enough():
    assert differs(6) == []


def test_up_for_a_moment_only():
    assert differs(2) == ["stable: active for 2 s -> active for 5 s"]


def test_not_up_whatever_it_was_before():
    assert differs(60, ActiveState="failed", SubState="failed") == ["stable: failed -> active for 5 s"]
