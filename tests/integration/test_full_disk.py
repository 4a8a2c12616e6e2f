"""A host whose disk is full, at each step of a first deploy and of a change: it says so, and nothing is lost."""

from __future__ import annotations

import pytest
from live import LiveLab

from tests.integration.faults import CHANGED, FAILED, FILE, Sweep, Victim
from tests.integration.looks import counts, succeeded
from tests.spread import Spread

HOST = "vm2"
FRESH = "fresh"
DISK = "/small"
#: Where a deploy writes, but for what packages put into /usr; the caches of downloads are disks of their own.
ON_DISK = "/etc /home /opt /root /var/lib /var/log"
#: A first deploy needs about half of it.
MEBIBYTES = 1400
#: Takes all room there is, and what Postgres or the journal give back meanwhile: on a disk filled once, 100 KiB were
#: free again within a minute, enough for all that a change writes.
FILL = f"while :; do cat /dev/zero >> {DISK}/filler; sleep 0.01; done 2> /dev/null"
FULL = f"until [ $(df --output=avail {DISK} | tail -1) -eq 0 ]; do sleep 0.1; done"


@pytest.fixture(scope="module")
def victim(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """A fresh host with one small disk for all that it keeps."""
    lab.up(HOST)
    made = Victim(lab, HOST, tmp_path_factory.mktemp("full-disk"))
    made.sh(f"mkdir {DISK} && mount -t tmpfs -o mode=755,size={MEBIBYTES}m none {DISK}")
    made.sh(f"cd / && cp -a --parents {ON_DISK} {DISK} && for d in {ON_DISK}; do mount --bind {DISK}$d $d; done")
    made.prepare()
    return made


def full_from(victim: Victim, mark: str, step: str) -> int:
    """A deploy whose disk is full when ``step`` begins, and has room again when it has ended. Returns its exit code."""
    with victim.held(mark, "start", step) as controller:
        victim.sh(f"systemd-run -q --collect --unit=filler sh -c '{FILL}'; timeout 60 sh -c '{FULL}'")
    victim.sh(f"systemctl stop filler; rm {DISK}/filler")
    told = victim.printed()
    assert "Traceback" not in told, told
    assert controller.returncode == 0 or (controller.returncode == FAILED and " is full: " in told), f"{step}\n{told}"
    return controller.returncode


@pytest.fixture(scope="module")
def sweep(victim: Victim, spread: Spread) -> Sweep:
    """The first deploy: the disk is full at each step that changes something, each run begins where the last failed."""
    succeeded(victim.deploy(FRESH, "--check", "--json", str(victim.events_file)))
    changes = [event["step"] for event in victim.events() if event.get("status") == "changed"]
    long = [step for step in changes if step.startswith(("Packages:", "PythonEnv:"))]
    for step in spread.over(changes, 6, always=long):
        assert full_from(victim, FRESH, step) == FAILED, f"{step}\n{victim.printed()}"
    succeeded(victim.lab.fab("-H", HOST, "deploy", *victim.setting(FRESH)))  # the proof included
    done = victim.deploy(FRESH)
    assert counts(done, HOST)["changed"] == 0, done.stdout
    return Sweep.of(victim)


@pytest.mark.sweep
def test_a_change(sweep: Sweep, spread: Spread) -> None:
    """Its disk is full at each of its steps: the server runs on, and what is due stays due."""
    steps = spread.over(sweep.begins(), 5, always=CHANGED)
    before, write = sweep.victim.look().running, steps.index(FILE)
    for step in steps[: write + 1]:
        mark = sweep.next_round()
        assert full_from(sweep.victim, mark, step) == FAILED, f"{step}\n{sweep.victim.printed()}"
        assert sweep.whole().running == before
    for step in steps[write + 1 :]:
        mark = sweep.next_round()
        full_from(sweep.victim, mark, step)  # it may get through: Postgres has room of its own for a while
        sweep.settled(mark)
