"""Many hosts in one run: real sshds at forty addresses, one exec each, a controller that does not grow with them."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path

import lab as machinery
import many
import pytest
from bench.hosts import Place
from bench.tools import Encamp, Fleet
from live import LiveLab
from measured import Measured, measured

MACHINES = ("vm1", "vm2")
EACH = 20
FORKS = 10
LIMIT = 600.0


@pytest.fixture(scope="module")
def places(lab: LiveLab) -> list[Place]:
    """Forty hosts: twenty sshds on each of two machines, their keys known."""
    lab.up(*MACHINES)
    found, lines = [], []
    for name in MACHINES:
        inside = functools.partial(machinery.inside, lab.lab, name)
        key = " ".join(inside("cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
        for port in many.listen(inside, EACH):
            found.append(Place(f"{name}-{port}", lab.address(name), port, name))
            lines.append(f"[{lab.address(name)}]:{port} {key}\n")
    many_hosts(lab).write_text("".join(lines), "utf-8")
    return found


def many_hosts(lab: LiveLab) -> Path:
    return lab.lab.state / "many_known_hosts"


def deploy(lab: LiveLab, places: Sequence[Place], folder: Path, workers: int) -> Measured:
    """Write the files of the benchmark's workload on each host."""
    fleet = Fleet(places, lab.lab.key, many_hosts(lab), folder)
    job = Encamp().job(fleet, workers, service=False, forks=FORKS)
    done = measured(job.argv, job.cwd, os.environ, LIMIT)
    assert done.code == 0, done.output
    return done


def counts(done: Measured) -> list[tuple[int, int, int]]:
    """(changed, failed, execs) of each host, from the recap."""
    found = re.findall(r"changed=(\d+) failed=(\d+) .* execs=(\d+) ", done.output)
    return [(int(changed), int(failed), int(execs)) for changed, failed, execs in found]


def sessions(lab: LiveLab) -> int:
    return sum(lab.ssh_sessions(name) for name in MACHINES)


def test_forty_hosts_cost_one_session_each(lab: LiveLab, places: list[Place], tmp_path: Path) -> None:
    """The first deploy writes files on every host, the second none; no connection is lost, none is opened twice."""
    deploy(lab, places[::EACH], tmp_path, 4)  # what hosts on a machine share is not made by many at once
    before = sessions(lab)
    first = counts(deploy(lab, places, tmp_path, 5))
    assert len(first) == len(places)
    assert all(changed and not failed and execs == 1 for changed, failed, execs in first), first
    assert sessions(lab) - before == len(places)

    again = deploy(lab, places, tmp_path, 5)
    assert counts(again) == [(0, 0, 1)] * len(places)
    assert sessions(lab) - before == 2 * len(places)


def test_the_controller_keeps_nothing_of_a_host_that_is_done(lab: LiveLab, places: list[Place], tmp_path: Path) -> None:
    """Twice the hosts at the same number of forks: no more files are open, no more threads run."""
    half = deploy(lab, places[:FORKS], tmp_path, 6)
    whole = deploy(lab, places, tmp_path, 6)
    slack = 4  # what a host leaves is closed a moment after the next was begun
    assert whole.files <= half.files + slack
    assert whole.threads <= half.threads + 3 * slack
