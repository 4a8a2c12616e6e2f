"""When a service counts as running, and as enabled."""

from encamp.resources.systemd.service import Service
from tests.unit.resources.systemd.double import Answers, show


def test_kinds_that_look_at_one_unit_ask_once():
    host = Answers(outputs=show())
    Service("x").check(host)
    Service("x.service", enabled=False).check(host)
    assert len(host.asked) == 1
