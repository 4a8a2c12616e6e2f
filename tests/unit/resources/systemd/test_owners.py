"""A unit of the owner's that a step moves away first."""

from __future__ import annotations

import pytest

from encamp.resources.base import Refused
from encamp.resources.systemd import owners
from encamp.resources.systemd.unit import SystemdUnit
from tests.unit.resources.case_host import CaseHost

FILES = {"/etc/systemd/system/x.service": "[Service]\nExecStart=/bin/y\n"}
UNIT = SystemdUnit("x.service", "# Managed by encamp: x\n[Service]\nExecStart=/bin/x\n")


def test_a_unit_that_gives_way_is_not_refused() -> None:
    host = CaseHost({"files": FILES, "units": {"x.service": {}}})
    owners.allow(host, "x.service")
    UNIT.refuse(host)
    host.run(["true"])  # a change: what was read is forgotten, what a step has said is not
    UNIT.refuse(host)
    with pytest.raises(Refused):
        UNIT.refuse(CaseHost({"files": FILES, "units": {"x.service": {}}}))
