"""Hosts that start as copies of hosts that encamp has deployed: in seconds, for what is not about a first deploy.

An image is made by whoever needs it first, in that lab, and named by the hash of all that it was made from. A copy has
the machine id and the SSH keys of a new host; what the deploy wrote of the other's address, the next deploy corrects.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import lab as machinery
from debian_images import image_exists
from deployed import LABEL, Deployed, remove_images
from layout import CHECKOUT, STATE
from live import LiveLab
from locks import locked
from shell import LabError, run, say

#: What no two hosts share, and what was logged before.
FORGET = ": > /etc/machine-id; rm -rf /etc/ssh/ssh_host_* /var/log/journal/*"


def start_copies(lab: LiveLab, kinds: Mapping[str, Deployed]) -> None:
    """Start hosts as copies, each of a kind. Raises LabError when what makes a kind fails."""
    images = {host: kind.image(host) for host, kind in kinds.items()}
    for host, kind in kinds.items():
        with locked(STATE / f"deployed-{kind.name}.lock"):
            if not image_exists(images[host]):
                _make(lab, host, kind, images[host])
    lab.up(*images, copies=images)


def _make(lab: LiveLab, host: str, kind: Deployed, image: str) -> None:
    """Deploy to a fresh host, shut it down and keep it as an image."""
    say(f"making {image} from {host}; this is done once for what encamp is now")
    lab.recreate(host)
    with tempfile.TemporaryDirectory(prefix="encamp-lab-") as folder:
        site = lab.site(Path(folder), host_vars={host: kind.settings})
        for command in kind.commands:
            done = lab.fab("-H", host, *command.split(), inventory=site)
            if done.returncode != 0:
                raise LabError(f"{image}: fab -H {host} {command} failed:\n{done.stdout}\n{done.stderr}")
    container = lab.lab.container(host)
    machinery.inside(lab.lab, host, "sh", "-c", FORGET)
    run(["docker", "stop", "--time", "60", container])
    run(["docker", "commit", "--change", f"LABEL {LABEL}={CHECKOUT}", container, image])
    lab.remove(host)
    remove_images(kind.repository, but=image)
