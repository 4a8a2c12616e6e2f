"""A real deploy that loses its controller or its network: the next one converges, and nothing is forgotten."""

from __future__ import annotations

import signal

import pytest
from live import LiveLab

from tests.integration.faults import CHANGED, FILE, INTERRUPTED, RESTART, UNREACHABLE, Sweep
from tests.spread import Spread

HOST = "vm2"


@pytest.fixture(scope="module")
def sweep(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return Sweep.on_a_copy(lab, HOST, tmp_path_factory.mktemp("cut-off"))


@pytest.fixture(scope="module")
def steps(sweep: Sweep) -> list[str]:
    return sweep.begins()


def ended_with(sweep: Sweep, steps: list[str], mark: str, last: str) -> None:
    """The agent has ended step ``last`` and begun no other."""
    sweep.victim.until_ended()
    look = sweep.whole()
    done = steps[: steps.index(last) + 1]
    assert (look.written == mark) == (FILE in done), (last, mark, look)
    assert (look.running == mark) == (RESTART in done), (last, mark, look)


@pytest.mark.sweep
def test_the_controller_killed_at_each_step(sweep: Sweep, steps: list[str], spread: Spread) -> None:
    for step in spread.over(steps, 5, always=CHANGED):
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


@pytest.mark.sweep
def test_the_network_cut_at_each_step(sweep: Sweep, steps: list[str], spread: Spread) -> None:
    """It comes back when the host has nothing more to say, and has given the connection up."""
    for step in spread.over(steps, 5, always=CHANGED):
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
