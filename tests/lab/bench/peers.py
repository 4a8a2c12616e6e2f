#!/usr/bin/env python3
"""How long deploys take, beside Ansible, Ansible with Mitogen, pyinfra, and bare ssh.

    python -m bench.peers [--quick] [--rounds N] [--cells 1x0,8x25] [--tools encamp,pyinfra] [--append] [--keep]

A cell is HOSTSxMILLISECONDS: how many hosts, and how far away. In each round of a cell every tool changes one line of
one file on every host, so that a service restarts, and then deploys once more with nothing to change; whole processes
are timed, the tools in turns. The baseline is `ssh HOST sudo python3 -c pass` to all hosts at once (a cold connection,
sudo, one Python start), taken before each deploy. Nothing is asserted about seconds: figures belong to the machine they
were taken on. Everything measured is kept in .lab/bench.json; with --append, cells and tools that are not measured now
are kept from there.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence

from layout import Lab

from bench import table
from bench.hosts import BenchHosts, Place, far
from bench.tools import Ansible, Encamp, Fleet, Mitogen, Pyinfra, Tool, bare_ssh

WHOLE = tuple((hosts, delay) for hosts in (1, 8, 32) for delay in (0, 25, 100))
QUICK = ((1, 0), (1, 100), (8, 0))
#: What takes longer is not measured again in its cell.
TOO_LONG = 300.0
#: On each host: the file, and the restart that it causes.
CHANGES = 2


def main() -> int:
    """Start hosts, measure the cells, print a table."""
    options = _options()
    lab = Lab.from_environment()
    hosts = BenchHosts(lab)
    record = table.Record(lab.state / "bench.json", keep=options.append)
    peers = lab.state / "peers"
    known: list[Tool] = [Encamp(), Pyinfra(peers), Mitogen(peers), Ansible(peers)]
    tools = [tool for tool in known if tool.name in options.tools]
    record.about({tool.name: {"version": tool.version(), "settings": tool.settings} for tool in tools}, machine())
    record.forget(options.tools, options.cells)
    try:
        places = hosts.up(max(count for count, _ in options.cells))
        for package in {package for tool in tools for package in tool.needs}:
            hosts.install(places, package)
        for count, delay in options.cells:
            measure(hosts, places[:count], delay, tools, options.rounds, record)
    finally:
        if not options.keep:
            hosts.down()
    print("\n" + "\n".join(record.lines()))
    return 0


def measure(
    hosts: BenchHosts, near: Sequence[Place], delay: int, tools: Sequence[Tool], rounds: int, record: table.Record
) -> None:
    """One cell: a deploy to begin from, then the rounds."""
    hosts.remember(near)
    print(f"\n{len(near)} hosts, {delay} ms", flush=True)
    folder = hosts.lab.state / "bench"
    folder.mkdir(exist_ok=True)
    with far(near, delay, hosts.lab.state) as places:
        hosts.remember(places)
        fleet = Fleet(places, hosts.key, hosts.known_hosts, folder)
        Encamp().job(fleet, 1).run(TOO_LONG)
        baseline(fleet)
        left = list(tools)
        for _ in range(rounds):
            for tool in list(left):
                try:
                    turn(hosts, fleet, tool, delay, record)
                except subprocess.TimeoutExpired:
                    print(f"  {tool.name:<8} takes more than {TOO_LONG:.0f} s: left out from here on", flush=True)
                    record.add(tool.name, (len(near), delay), "too long", TOO_LONG, baseline(fleet))
                    left.remove(tool)


def turn(hosts: BenchHosts, fleet: Fleet, tool: Tool, delay: int, record: table.Record) -> None:
    """A tool's turn in a round: the change, which is looked at on the hosts, then the deploy that changes nothing."""
    count = len(fleet.places)
    workers = record.next_value()
    for what, expected in (("change", CHANGES * count), ("no-op", 0)):
        tool.hang_up(fleet)
        job = tool.job(fleet, workers)
        least = baseline(fleet)
        started = time.perf_counter()
        said = job.run(TOO_LONG)
        seconds = time.perf_counter() - started
        if tool.changes(said) != expected:
            raise SystemExit(f"{tool.name} was to change {expected} resources:\n{said}")
        for place in (fleet.places[0], fleet.places[-1]):
            hosts.expect(place.name, workers)
        record.add(tool.name, (count, delay), what, seconds, least)
        print(f"  {tool.name:<8} {what:<7} {seconds:7.2f} s  {seconds / least:5.1f} x ssh", flush=True)


def baseline(fleet: Fleet) -> float:
    """The least, on all hosts at once: seconds."""
    started = time.perf_counter()
    children = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for command in bare_ssh(fleet)]
    codes = [child.wait() for child in children]
    if any(codes):
        raise SystemExit("the baseline failed")
    return time.perf_counter() - started


def machine() -> dict[str, str]:
    """What the figures belong to."""
    openssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr.strip()
    return {
        "python": platform.python_version(),
        "openssh": openssh,
        "cores": str(len(os.sched_getaffinity(0))),
        "date": time.strftime("%Y-%m-%d"),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three cells, three rounds each")
    parser.add_argument("--rounds", type=int, default=0, help="how often each is timed (default 5, with --quick 3)")
    parser.add_argument("--cells", type=_cells, default=None, help="cells to measure, such as 1x0,8x25 (default: nine)")
    parser.add_argument("--tools", default="encamp,pyinfra,mitogen,ansible", help="tools to measure (default: all)")
    parser.add_argument("--append", action="store_true", help="keep other figures of .lab/bench.json")
    parser.add_argument("--keep", action="store_true", help="leave the hosts up")
    options = parser.parse_args()
    options.cells = options.cells or (QUICK if options.quick else WHOLE)
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.tools = options.tools.split(",")
    return options


def _cells(text: str) -> tuple[tuple[int, int], ...]:
    pairs = [cell.split("x") for cell in text.split(",")]
    return tuple((int(hosts), int(delay)) for hosts, delay in pairs)


if __name__ == "__main__":
    sys.exit(main())
