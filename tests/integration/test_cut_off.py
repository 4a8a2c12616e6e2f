"""A real deploy that loses its controller, network or host: the next one converges, and nothing is forgotten."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from live import LiveLab

from tests.integration.faults import FAILED, FILE, INTERRUPTED, RESTART, UNREACHABLE, Sweep, Victim
from tests.integration.looks import counts, succeeded

HOST = "vm2"
FIRST = "first"
#: What a first deploy is at work on when its host goes down, and the seconds that it is given: the database's cluster,
#: Prefect's environment, the server's start with its migrations.
AT_WORK = {"[i]nitdb": 0.0, "[u]v pip install": 2.0, "[p]refect server start": 4.0}


@pytest.fixture(scope="module")
def sweep(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """A server on a fresh host, which goes down thrice in its first deploy, and a fresh host again for other tests."""
    lab.recreate(HOST)
    victim = Victim(lab, HOST, tmp_path_factory.mktemp("cut-off"))
    victim.prepare()
    for program, seconds in AT_WORK.items():
        with victim.at_work(FIRST, program) as controller:
            time.sleep(seconds)
            lab.reboot(HOST)
            controller.wait(300)
        assert controller.returncode in (FAILED, UNREACHABLE), victim.printed()
    succeeded(victim.deploy(FIRST))
    assert counts(victim.deploy(FIRST), HOST)["changed"] == 0
    yield Sweep.of(victim)
    lab.recreate(HOST)


@pytest.fixture(scope="module")
def steps(sweep: Sweep) -> list[str]:
    """The steps of a deploy that changes a setting, in their order; the restart is one of them."""
    return [step for event, step in sweep.points() if event == "start"]


def ended_with(sweep: Sweep, steps: list[str], mark: str, last: str) -> None:
    """The agent has ended step ``last`` and begun no other."""
    sweep.victim.until_ended()
    look = sweep.whole()
    done = steps[: steps.index(last) + 1]
    assert (look.written == mark) == (FILE in done), (last, mark, look)
    assert (look.running == mark) == (RESTART in done), (last, mark, look)


def test_the_controller_killed_at_each_step(sweep: Sweep, steps: list[str]) -> None:
    for step in steps:
        mark = sweep.next_round()
        with sweep.victim.held(mark, "start", step) as controller:
            controller.kill()
            sweep.victim.until_hung_up()
        ended_with(sweep, steps, mark, step)
    sweep.settled(mark)


@pytest.mark.parametrize(("step", "how"), [(FILE, signal.SIGINT), (RESTART, signal.SIGTERM)])
def test_ctrl_c(sweep: Sweep, steps: list[str], step: str, how: signal.Signals) -> None:
    """Or SIGTERM, as CI systems send it."""
    mark = sweep.next_round()
    with sweep.victim.held(mark, "start", step) as controller:
        controller.send_signal(how)
        controller.wait(300)
        sweep.victim.until_hung_up()
    told = sweep.victim.printed()
    assert controller.returncode == INTERRUPTED, told
    assert f"INTERRUPTED  {step}" in told and "Traceback" not in told
    ended_with(sweep, steps, mark, step)
    sweep.settled(mark)


@pytest.mark.parametrize(("way", "ends"), [("both", {UNREACHABLE}), ("out", {UNREACHABLE}), ("in", {0, UNREACHABLE})])
def test_the_network_cut_for_good(sweep: Sweep, way: str, ends: set[int]) -> None:
    """The host works on alone; a controller that hears nothing gives it up, and says so."""
    mark = sweep.next_round()
    with sweep.victim.held(mark, "start", FILE) as controller, sweep.victim.silent(way):
        sweep.victim.release()
        controller.wait(300)
        sweep.victim.until_ended()
        look = sweep.whole()
    told = sweep.victim.printed()
    assert controller.returncode in ends, told
    assert controller.returncode == 0 or "nothing received from the host" in told, told
    assert (look.written, look.running) == (mark, mark), look
    sweep.settled(mark)


def test_the_network_cut_at_each_step(sweep: Sweep, steps: list[str]) -> None:
    """It comes back when the host has nothing more to say, and has given the connection up."""
    for step in steps:
        mark = sweep.next_round()
        with sweep.victim.held(mark, "start", step) as controller:
            with sweep.victim.silent("both"):
                sweep.victim.release()
                sweep.victim.until_ended()
                look = sweep.whole()
                sweep.victim.hang_up()
            controller.wait(300)
        assert controller.returncode in (0, UNREACHABLE), sweep.victim.printed()
        assert (look.written, look.running) == (mark, mark), (step, look)
    sweep.settled(mark)


def test_the_host_rebooted_at_each_step(sweep: Sweep) -> None:
    for event, step in sweep.points():
        mark = sweep.next_round()
        with sweep.victim.held(mark, event, step) as controller:
            sweep.victim.lab.reboot(HOST)
            controller.wait(300)
        assert controller.returncode in (FAILED, UNREACHABLE), sweep.victim.printed()
        sweep.whole()
    sweep.settled(mark)
