#!/usr/bin/env python3
"""One run of encamp over many hosts: wall time, memory, threads and open files of the controller.

    python -m bench.scale [--quick] [--hosts 200] [--machines 8] [--forks 10,50,200] [--keep]

The hosts are real sshds, each at a port of its own, on a few lab hosts (see many.py). For each number of forks: a
deploy that writes a dozen files on each host, and one that changes nothing. Every host must end well with one exec.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys

import many
from layout import Lab
from measured import Measured, measured

from bench.hosts import BenchHosts, Place
from bench.tools import Encamp, Fleet

LIMIT = 900.0


def main() -> int:
    """Start hosts, run, print a table."""
    options = _options()
    if options.quick:
        options.hosts, options.machines, options.forks = 40, 2, [10, 40]
    lab = Lab.from_environment()
    hosts = BenchHosts(lab)
    try:
        machines = hosts.up(options.machines)
        places = addresses(hosts, machines, options.hosts // options.machines)
        hosts.remember([*machines, *places])
        folder = lab.state / "bench"
        folder.mkdir(exist_ok=True)
        Encamp().job(Fleet(machines, hosts.key, hosts.known_hosts, folder), 4).run(LIMIT)
        print("| hosts | forks | deploy | seconds | peak memory, MiB | threads | open files |\n|" + "---|" * 7)
        for number, forks in enumerate(options.forks):
            for count in sorted({1, 10, len(places)} if forks == max(options.forks) else {len(places)}):
                fleet = Fleet(places[:count], hosts.key, hosts.known_hosts, folder)
                for what, service in (("change", False), ("no-op", True)):
                    done = run(fleet, forks, workers=5 + number, service=service)
                    print(row(count, forks, what, done), flush=True)
    finally:
        if not options.keep:
            hosts.down()
    return 0


def addresses(hosts: BenchHosts, machines: list[Place], each: int) -> list[Place]:
    """An sshd at each of many ports of every machine."""
    found = []
    for machine in machines:
        for port in many.listen(functools.partial(hosts.inside, machine.name), each):
            found.append(Place(f"{machine.name}-{port}", machine.address, port, machine.name))
    return found


def run(fleet: Fleet, forks: int, workers: int, service: bool) -> Measured:
    """A deploy to all. Raises SystemExit unless every host ended well, with one exec."""
    job = Encamp().job(fleet, workers, service, forks)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = measured(job.argv, job.cwd, env, LIMIT)
    well = len(re.findall(r" failed=0 .* execs=1 ", done.output))
    if done.code or well != len(fleet.places):
        raise SystemExit(f"exit status {done.code}, {well} of {len(fleet.places)} hosts ended well:\n{done.output}")
    if service and Encamp().changes(done.output):
        raise SystemExit(f"this deploy was to change nothing:\n{done.output}")
    return done


def row(count: int, forks: int, what: str, done: Measured) -> str:
    return f"| {count} | {forks} | {what} | {done.seconds:.1f} | {done.memory:.0f} | {done.threads} | {done.files} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time one run of encamp over many hosts.")
    parser.add_argument("--quick", action="store_true", help="40 hosts on two machines")
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--machines", type=int, default=8)
    parser.add_argument("--forks", type=lambda text: [int(word) for word in text.split(",")], default=[10, 50, 200])
    parser.add_argument("--keep", action="store_true", help="leave the hosts up")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
