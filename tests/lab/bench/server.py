#!/usr/bin/env python3
"""How long a deploy that changes nothing takes, as a ratio to the least that any tool over SSH could take.

    python -m bench.server [--quick] [--rounds N] [--hosts N]

The hosts are whole Prefect servers, deployed with `fab deploy`. The baseline is `ssh HOST sudo python3 -c pass`: one
cold connection, sudo, one Python start. Both are whole processes, measured in turns in the same run on real lab hosts
that were deployed before. With several hosts, the baselines run in parallel as well. Nothing is asserted: figures
belong to the machine they were taken on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import lab as machinery
import yaml
from layout import CHECKOUT, Lab

HOSTS = ("vm1", "vm2", "laptop1", "laptop2", "ufw1", "firewalld1", "nft1", "new1")
FAB = str(CHECKOUT / ".venv" / "bin" / "fab")


def main() -> int:
    """Deploy, measure, print a table."""
    options = _options()
    if options.quick:
        options.rounds, options.hosts = 5, 1
    lab = Lab.from_environment()
    names = HOSTS[: options.hosts]
    machinery.up(lab, names)
    site = write_site(lab, names)
    print(f"deploying {', '.join(names)} (changes nothing where they are deployed already)", flush=True)
    subprocess.run(deploy(site, names), cwd=CHECKOUT, env=environment(), check=True)
    print(f"\nmedian of {options.rounds} rounds, seconds\n")
    print("| hosts | no-op deploy | ssh sudo python3 -c pass | ratio |\n|---|---|---|---|")
    for count in sorted({1, len(names)}):
        print(measured(lab, site, names[:count], options.rounds), flush=True)
    return 0


def measured(lab: Lab, site: Path, names: Sequence[str], rounds: int) -> str:
    """A row of the table. The two are timed in turns, so that what else the machine does hits both."""
    ours, least = [], []
    for _ in range(rounds + 1):
        ours.append(timed(lambda: no_op(site, names)))
        least.append(timed(lambda: baseline(lab, names)))
    fab, ssh = statistics.median(ours[1:]), statistics.median(least[1:])
    return f"| {len(names)} | {fab:.2f} | {ssh:.2f} | {fab / ssh:.2f} |"


def timed(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def no_op(site: Path, names: Sequence[str]) -> None:
    """A whole deploy. Raises when it changed anything: then it is not what is measured."""
    done = subprocess.run(
        deploy(site, names), cwd=CHECKOUT, env=environment(), capture_output=True, text=True, check=True
    )
    if done.stdout.count("changed=0") != len(names):
        raise SystemExit(f"this deploy was to change nothing:\n{done.stdout}")


def baseline(lab: Lab, names: Sequence[str]) -> None:
    """The least: connect, become root, start Python."""
    command = ["ssh", "-F", str(lab.ssh_config), "-l", "deploy"]
    children = [subprocess.Popen([*command, name, "sudo", "python3", "-c", "pass"]) for name in names]
    for child in children:
        if child.wait() != 0:
            raise SystemExit("the baseline failed")


def deploy(site: Path, names: Sequence[str]) -> list[str]:
    return [FAB, "-H", ",".join(names), "deploy", "--inventory", str(site)]


def environment() -> dict[str, str]:
    """As on an operator's machine: compiled modules may be kept."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def write_site(lab: Lab, names: Sequence[str]) -> Path:
    """A site in which every host is a server with everything on it."""
    hosts = {name: {"ansible_port": lab.port(name), "public_url": f"http://{lab.address(name)}:4200"} for name in names}
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_user": "deploy",
        "ansible_ssh_private_key_file": str(lab.key),
        "known_hosts": str(lab.known_hosts),
        "ca_bundle": str(lab.ca_bundle),
    }
    folder = Path(tempfile.mkdtemp(prefix="encamp-bench-"))
    site = {"all": {"vars": variables, "children": {"servers": {"hosts": hosts}}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(site), "utf-8")
    return folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time deploys that change nothing against bare ssh.")
    parser.add_argument("--quick", action="store_true", help="one host, five rounds")
    parser.add_argument(
        "--rounds", type=int, default=9, help="how often each is timed (default 9, after one to warm up)"
    )
    parser.add_argument("--hosts", type=int, default=len(HOSTS), choices=range(1, len(HOSTS) + 1), metavar="N")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
