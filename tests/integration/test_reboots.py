"""A real deploy whose host goes down: the next one converges, and nothing is forgotten.

A first deploy, and the change of a setting, on a host each.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from live import LiveLab

from tests.integration.faults import FAILED, UNREACHABLE, Sweep, Victim
from tests.integration.looks import counts, succeeded
from tests.spread import Spread

BARE, HOST = "vm1", "vm2"
FIRST = "first"
#: What a first deploy is at work on when its host goes down, and the seconds that it is given: the database's cluster,
#: Prefect's environment, the server's start with its migrations.
AT_WORK = {"[i]nitdb": 0.0, "[u]v pip install": 2.0, "[p]refect/serving.py": 4.0}


def test_the_host_goes_down_thrice_in_a_first_deploy(lab: LiveLab, tmp_path: Path) -> None:
    lab.up(BARE)
    victim = Victim(lab, BARE, tmp_path)
    victim.prepare()
    for program, seconds in AT_WORK.items():
        with victim.at_work(FIRST, program) as controller:
            time.sleep(seconds)
            lab.reboot(BARE)
            controller.wait(300)
        assert controller.returncode in (FAILED, UNREACHABLE), victim.printed()
    succeeded(victim.deploy(FIRST))
    assert counts(victim.deploy(FIRST), BARE)["changed"] == 0


@pytest.fixture(scope="module")
def sweep(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return Sweep.on_a_copy(lab, HOST, tmp_path_factory.mktemp("reboots"))


@pytest.mark.sweep
def test_the_host_rebooted_at_each_step(sweep: Sweep, spread: Spread) -> None:
    for mark, event, step in sweep.at_each_point(spread, 5):
        with sweep.victim.held(mark, event, step) as controller:
            sweep.victim.lab.reboot(HOST)
            controller.wait(300)
        assert controller.returncode in (FAILED, UNREACHABLE), sweep.victim.printed()
