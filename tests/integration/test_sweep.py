"""A real deploy whose agent is killed at each of its steps: the next one converges, and nothing is forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from live import LiveLab

from tests.integration.faults import ENV_FILE, UNIT, Victim
from tests.integration.looks import Fab, counts, psql, succeeded

HOST = "vm2"
FRESH = "fresh"
FILE, RESTART = f"File:{ENV_FILE}", f"Restart:{UNIT}"
FAILED, UNREACHABLE = 2, 3
#: Kinds of step that run a long command: the command, the program to wait for, seconds that it then gets.
AT_WORK = {
    "Packages:postgres": ("apt-get .*install", "initdb", 0.2),
    "PythonEnv:": ("uv.* pip install", "uv", 1.0),
}


@dataclass
class Sweep:
    """A server to cut off, and what is to be the same after each fault."""

    victim: Victim
    others: list[str] = field(default_factory=list)
    rounds: Iterator[int] = field(default_factory=itertools.count)

    def next_round(self) -> str:
        """A value that no round before had: what runs shows of which round its settings are."""
        return f"r{next(self.rounds)}"

    def whole(self) -> None:
        """Whatever was cut off: the env file is that of one round, and what has not read it yet is due."""
        look = self.victim.look()
        assert look.others == self.others
        assert look.written == look.running or RESTART in look.pending, look
        assert not look.strays

    def settled(self, mark: str) -> None:
        """The next deploy converges, and everything is of round ``mark``; what the database held, it holds."""
        succeeded(self.victim.deploy(mark))
        look = self.victim.look()
        assert (look.running, look.written, look.others) == (mark, mark, self.others)
        assert not look.pending and not look.strays
        assert psql(self.victim.lab, HOST, "SELECT count(*) FROM flow WHERE name = 'kept'") == "1"


@pytest.fixture(scope="module")
def victim(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A fresh host, and a fresh one again for other tests."""
    lab.recreate(HOST)
    made = Victim(lab, HOST, tmp_path_factory.mktemp("sweep"))
    made.prepare()
    yield made
    lab.recreate(HOST)


def statuses(victim: Victim) -> dict[str, str]:
    """The status of each step of the last run."""
    return {event["step"]: event["status"] for event in victim.events() if event["event"] == "step"}


def cut_off(done: Fab) -> None:
    assert done.returncode in (FAILED, UNREACHABLE), f"not cut off: {done.returncode}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def sweep(victim: Victim) -> Sweep:
    """The first deploy: killed in the middle of each long command and after each step, begun again where it was."""
    succeeded(victim.deploy(FRESH, "--check", "--json", str(victim.events_file)))
    foretold = {step for step, status in statuses(victim).items() if status != "ok"}
    really: set[str] = set()
    for step in [step for step in statuses(victim) if step in foretold and not step.startswith("Restart:")]:
        for child, program, seconds in (work for kind, work in AT_WORK.items() if step.startswith(kind)):
            cut_off(victim.killed(FRESH, child=child, program=program, seconds=seconds))
            really |= {step for step, status in statuses(victim).items() if status == "changed"}
        cut_off(victim.killed(FRESH, event="step", step=step))
        really |= {step for step, status in statuses(victim).items() if status == "changed"}
    assert really <= foretold, "check mode did not foretell all changes"
    succeeded(victim.lab.fab("-H", HOST, "deploy"))
    done = victim.lab.fab("-H", HOST, "deploy")
    assert counts(done, HOST)["changed"] == 0, done.stdout
    psql(victim.lab, HOST, "INSERT INTO flow (name) VALUES ('kept')")
    found = Sweep(victim, victim.look().others)
    found.settled(found.next_round())
    return found


def test_the_agent_killed_at_each_step(sweep: Sweep) -> None:
    """Before each step, and where something has changed also after it; a run begins where the last one was cut."""
    for event, step in points(sweep):
        mark = sweep.next_round()
        cut_off(sweep.victim.killed(mark, event=event, step=step))
        sweep.whole()
        if sweep.victim.look().written == mark:
            sweep.settled(mark)
    sweep.settled(sweep.next_round())


def points(sweep: Sweep) -> list[tuple[str, str]]:
    """The begin of each step of a deploy that changes a setting, and the end of those that change something."""
    succeeded(sweep.victim.deploy(sweep.next_round(), "--json", str(sweep.victim.events_file)))
    events = [event for event in sweep.victim.events() if event["event"] in ("start", "step")]
    assert {event["step"] for event in events if event.get("status") == "changed"} == {FILE, RESTART}
    return [
        (event["event"], event["step"]) for event in events if event["event"] == "start" or event["status"] == "changed"
    ]
