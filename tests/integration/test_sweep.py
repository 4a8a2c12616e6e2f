"""A real deploy whose agent is killed at each of its steps: the next one converges, and nothing is forgotten.

A first deploy, and the change of a setting, on a host each.
"""

from __future__ import annotations

import pytest
from live import LiveLab

from tests.integration.faults import CHANGED, FAILED, Sweep, Victim
from tests.integration.looks import Fab, counts, succeeded
from tests.spread import Spread

BARE, HOST = "vm1", "vm2"
FRESH = "fresh"
#: Kinds of step that run a long command: the command, the program to wait for, seconds that it then gets.
AT_WORK = {
    "PostgresServer:postgres": ("apt-get .*install", "initdb", 0.2),
    "PythonEnv:": ("uv.* pip install", "uv", 1.0),
}


def statuses(victim: Victim) -> dict[str, str]:
    """The status of each step of the last run."""
    return {event["step"]: event["status"] for event in victim.events() if event["event"] == "step"}


def cut_off(done: Fab) -> None:
    """Also where a command of the agent works on: the connection is there, so the host is not unreachable."""
    assert done.returncode == FAILED and "the agent was killed" in done.stdout, f"{done.stdout}\n{done.stderr}"


@pytest.mark.sweep
def test_the_agent_killed_in_a_first_deploy(
    lab: LiveLab, spread: Spread, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In the middle of each long command, and after each step that changes something; each run goes on from there."""
    lab.up(BARE)
    victim = Victim(lab, BARE, tmp_path_factory.mktemp("sweep"))
    victim.prepare()
    succeeded(victim.deploy(FRESH, "--check", "--json", str(victim.events_file)))
    foretold = {step for step, status in statuses(victim).items() if status != "ok"}
    changes = [step for step in statuses(victim) if step in foretold and not step.startswith("Restart:")]
    long = [step for step in changes if step.startswith(tuple(AT_WORK))]
    really: set[str] = set()
    for step in spread.over(changes, 6, always=long):
        for child, program, seconds in (work for kind, work in AT_WORK.items() if step.startswith(kind)):
            cut_off(victim.killed(FRESH, child=child, program=program, seconds=seconds))
            really |= {step for step, status in statuses(victim).items() if status == "changed"}
        cut_off(victim.killed(FRESH, event="step", step=step))
        really |= {step for step, status in statuses(victim).items() if status == "changed"}
    assert really <= foretold, "check mode did not foretell all changes"
    succeeded(victim.lab.fab("-H", BARE, "deploy", *victim.setting(FRESH)))  # the proof included
    done = victim.deploy(FRESH)
    assert counts(done, BARE)["changed"] == 0, done.stdout


@pytest.fixture(scope="module")
def sweep(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return Sweep.on_a_copy(lab, HOST, tmp_path_factory.mktemp("change"))


@pytest.mark.sweep
def test_the_agent_killed_at_each_step(sweep: Sweep, spread: Spread) -> None:
    """Before each step, and where something has changed also after it; a run begins where the last one was cut."""
    for mark, event, step in sweep.at_each_point(spread, 6):
        done = sweep.victim.killed(mark, event=event, step=step)
        cut_off(done)
        assert event == "start" or f"FAILED  {step}" in done.stdout, done.stdout
        if step in CHANGED and sweep.whole().written == mark:
            sweep.settled(mark)


@pytest.mark.parametrize("directory", ["/etc/prefect/default", "/var/lib/encamp"])
def test_a_full_disk(sweep: Sweep, directory: str) -> None:
    """The settings, or the record of what is due, cannot be written: named with what to do; the server runs on."""
    mark = sweep.next_round()
    before = sweep.victim.look().running
    with sweep.victim.full(directory):
        done = sweep.victim.deploy(mark)
        assert sweep.victim.look().running == before
    assert done.returncode == FAILED, done.stdout
    assert "No space left on device" in done.stdout and f"file system at {directory} is full" in done.stdout
    sweep.settled(mark)
