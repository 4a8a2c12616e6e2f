"""Hosts that start as copies of hosts that encamp has deployed: in seconds, for what is not about a first deploy.

An image is made by whoever needs it first, in that lab, and named by the hash of all that it was made from. A copy has
the machine id and the SSH keys of a new host; what the deploy wrote of the other's address, the next deploy corrects.
"""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import lab as machinery
from debian_images import image_exists
from deployed import LABEL, Deployed, remove_images
from layout import CHECKOUT, STATE
from live import LiveLab
from shell import LabError, run, say

#: What no two hosts share, and what was logged before.
FORGET = ": > /etc/machine-id; rm -rf /etc/ssh/ssh_host_* /var/log/journal/*"


def start_copy(lab: LiveLab, host: str, kind: Deployed) -> None:
    """Start a host as a copy of one that encamp has deployed. Raises LabError when that deploy fails."""
    image = kind.image(host)
    with _locked(kind):
        if not image_exists(image):
            _make(lab, host, kind, image)
    lab.up(host, copy_of=image)


def _make(lab: LiveLab, host: str, kind: Deployed, image: str) -> None:
    """Deploy to a fresh host, shut it down and keep it as an image."""
    say(f"making {image} from {host}; this is done once for what encamp is now")
    lab.recreate(host)
    with tempfile.TemporaryDirectory(prefix="encamp-lab-") as folder:
        done = lab.fab("-H", host, "deploy", inventory=lab.site(Path(folder), host_vars={host: kind.settings}))
    if done.returncode != 0:
        raise LabError(f"the deploy that {image} is made by failed:\n{done.stdout}\n{done.stderr}")
    container = lab.lab.container(host)
    machinery.inside(lab.lab, host, "sh", "-c", FORGET)
    run(["docker", "stop", "--time", "60", container])
    run(["docker", "commit", "--change", f"LABEL {LABEL}={CHECKOUT}", container, image])
    lab.remove(host)
    remove_images(kind.repository, but=image)


@contextlib.contextmanager
def _locked(kind: Deployed) -> Iterator[None]:
    """One process at a time makes a kind."""
    STATE.mkdir(exist_ok=True)
    with (STATE / f"deployed-{kind.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
