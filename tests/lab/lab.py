#!/usr/bin/env python3
"""The lab: real Debian hosts in Docker to deploy to, for the demo and the integration tests.

    lab.py up [HOST...]       start hosts (by default all but the odd ones) and wait until they have booted
    lab.py recreate HOST...   replace hosts by fresh ones; downloads in their caches are kept
    lab.py reboot HOST...     reboot hosts and wait until they are back
    lab.py status             what runs, where, and how it is
    lab.py ssh HOST [CMD...]  log in, or run a command
    lab.py down [--all]       remove the hosts; with --all their caches, images and what tests left, too

Only the standard library is used, so this runs in a bare checkout with Python 3.10 or later. What is missing of Docker
is installed and started by docker.sh. Keys, host keys and settings of the lab go to .lab/ in the checkout.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType

import locks
from deployed import remove_images
from layout import HOSTS, Lab
from preparing import prepare
from shell import LabError, retry, run, say, write

BOOT_SECONDS = 240
REBOOT_SECONDS = 300


def up(lab: Lab, names: Sequence[str], copies: Mapping[str, str] = MappingProxyType({})) -> None:
    """Start hosts, wait until they have booted, and write how to reach them.

    ``copies``: the images that some start from in place of their own.
    """
    prepare(lab, names, copies)
    _compose_up(lab, names)
    _wait_for_all(lab, names)
    write_known_hosts(lab)


def recreate(lab: Lab, names: Sequence[str]) -> None:
    """Replace hosts by fresh ones."""
    prepare(lab, names)
    remove(lab, names)
    up(lab, names)


def remove(lab: Lab, names: Sequence[str]) -> None:
    """Remove hosts as they run, without a shutdown; ``up`` makes fresh ones."""
    containers = [lab.container(name) for name in names if container_state(lab, name) != "absent"]
    if containers:
        run(["docker", "rm", "--force", "--volumes", *containers])  # volumes without a name; the caches have one


def reboot(lab: Lab, names: Sequence[str]) -> None:
    """Reboot hosts, as ``systemctl reboot`` in them does, and wait until they are back."""
    for name in names:
        _reboot(lab, name)
    write_known_hosts(lab)


def down(lab: Lab, *, volumes: bool = False) -> None:
    """Remove the hosts and their network; their download caches only when asked to."""
    if not lab.env_file.exists():
        say("there is no lab in this checkout")
        return
    say(f"removing the hosts of {lab.project}")
    run([*lab.compose, "down", "--timeout", "10", *(["--volumes"] if volumes else [])], env=_environment())
    lab.known_hosts.unlink(missing_ok=True)


def down_all(lab: Lab) -> None:
    """Remove this lab and those of test runs, download caches and images of deployed hosts included."""
    for env_file in sorted(lab.state.glob("**/compose.env")):
        down(Lab.from_state(env_file.parent), volumes=True)
    remove_images()


def status(lab: Lab) -> list[str]:
    """One line a host: its name, address, port, container state and boot state."""
    lines = [f"{'HOST':<12}{'ADDRESS':<16}{'SSH':<18}{'CONTAINER':<12}SYSTEM"]
    for name in HOSTS:
        container = container_state(lab, name)
        system = system_state(lab, name) if container == "running" else "-"
        lines.append(f"{name:<12}{lab.address(name):<16}127.0.0.1:{lab.port(name):<8}{container:<12}{system}")
    return lines


def ssh(lab: Lab, name: str, command: Sequence[str]) -> int:
    """Log in to a host with OpenSSH, or run a command there; its exit status."""
    return subprocess.run(["ssh", "-F", str(lab.ssh_config), name, *command], check=False).returncode


def output_of(lab: Lab, name: str, command: str, text: str = "") -> str:
    """Run a command on a host with OpenSSH; ``text`` is its standard input. Raises LabError."""
    argv = ["ssh", "-F", str(lab.ssh_config), name, command]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{command}` on {name} exited {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _compose_up(lab: Lab, names: Sequence[str]) -> None:
    """Create and start containers; what runs already and has not changed is left alone."""
    say(f"starting {', '.join(names)}")
    command = [*lab.compose, "up", "--detach", "--no-deps", *names]
    retry(lambda: run(command, env=_environment()), "starting the hosts", attempts=2)


def _wait_for_all(lab: Lab, names: Sequence[str]) -> None:
    """Wait for several hosts at once."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        for waiting in [pool.submit(wait_for_boot, lab, name) for name in names]:
            waiting.result()


def wait_for_boot(lab: Lab, name: str) -> None:
    """Wait until systemd says that a host is running and its sshd answers."""
    deadline = time.monotonic() + BOOT_SECONDS
    while (state := system_state(lab, name)) != "running":
        if state == "degraded":
            if HOSTS[name].degraded:
                break
            raise LabError(f"{name} has failed units:\n{inside(lab, name, 'systemctl', '--failed', '--no-legend')}")
        if time.monotonic() > deadline:
            raise LabError(f"{name} did not boot within {BOOT_SECONDS} s; systemd says: {state or 'nothing'}")
        time.sleep(0.3)
    while not sshd_answers(lab.port(name)):
        if time.monotonic() > deadline:
            raise LabError(f"sshd of {name} does not answer at 127.0.0.1:{lab.port(name)}")
        time.sleep(0.2)


def system_state(lab: Lab, name: str) -> str:
    """What ``systemctl is-system-running`` says in a host; empty when nothing answers."""
    command = ["docker", "exec", lab.container(name), "systemctl", "is-system-running"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.strip()


def container_state(lab: Lab, name: str) -> str:
    """What Docker says of a host's container; ``absent`` when there is none."""
    return _inspect(lab, name, "{{.State.Status}}") or "absent"


def sshd_answers(port: int) -> bool:
    """Whether an SSH server greets at a port of loopback. Docker's own proxy accepts before the host does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.settimeout(5)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def inside(lab: Lab, name: str, *command: str) -> str:
    """The output of a command run as root in a host, by way of Docker and not of SSH."""
    return run(["docker", "exec", lab.container(name), *command])


def write_known_hosts(lab: Lab) -> None:
    """Write the keys of the hosts that run, read from the hosts themselves, not from the network."""
    lines = []
    for name in HOSTS:
        if container_state(lab, name) != "running":
            continue
        names = f"{name},{lab.address(name)},[127.0.0.1]:{lab.port(name)}"
        keys = inside(lab, name, "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub").splitlines()
        lines += [f"{names} {' '.join(key.split()[:2])}\n" for key in keys]
    write(lab.known_hosts, "".join(lines))


def _reboot(lab: Lab, name: str) -> None:
    """Reboot one host."""
    started = _inspect(lab, name, "{{.State.StartedAt}}")
    subprocess.run(["docker", "exec", lab.container(name), "systemctl", "reboot"], check=False, capture_output=True)
    deadline = time.monotonic() + REBOOT_SECONDS
    while _inspect(lab, name, "{{.State.StartedAt}}") == started:
        if time.monotonic() > deadline:
            raise LabError(f"{name} did not go down for its reboot within {REBOOT_SECONDS} s")
        time.sleep(0.2)
    wait_for_boot(lab, name)


def _inspect(lab: Lab, name: str, template: str) -> str:
    """A field of ``docker inspect``; empty when there is no such container."""
    command = ["docker", "container", "inspect", "--format", template, lab.container(name)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _environment() -> dict[str, str]:
    """Our environment without variables that would override those of compose.env."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ENCAMP_LAB_")}


def locked(lab: Lab) -> AbstractContextManager[None]:
    """One process at a time changes a lab."""
    return locks.locked(lab.state / "lab.lock")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    options = _parser().parse_args(argv)
    lab = Lab.from_environment()
    try:
        return _dispatch(lab, options)
    except LabError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _dispatch(lab: Lab, options: argparse.Namespace) -> int:
    """Do what the command line says; the exit status."""
    if options.command == "ssh":
        return ssh(lab, options.host, options.args)
    if options.command == "status":
        print("\n".join(status(lab)))
        return 0
    with locked(lab):
        if options.command == "up":
            up(lab, options.hosts or [host.name for host in HOSTS.values() if not host.odd])
        elif options.command == "recreate":
            recreate(lab, options.hosts)
        elif options.command == "reboot":
            reboot(lab, options.hosts)
        elif options.all:
            down_all(lab)
        else:
            down(lab)
    return 0


def _parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # argparse checks an empty list against the choices, so "no host" is checked by a type of our own.
    commands.add_parser("up").add_argument("hosts", nargs="*", type=_host_name, metavar="HOST")
    for command in ("recreate", "reboot"):
        commands.add_parser(command).add_argument("hosts", nargs="+", type=_host_name, metavar="HOST")
    commands.add_parser("status")
    login = commands.add_parser("ssh")
    login.add_argument("host", type=_host_name, metavar="HOST")
    login.add_argument("args", nargs=argparse.REMAINDER, metavar="CMD")
    commands.add_parser("down").add_argument("--all", action="store_true")
    return parser


def _host_name(text: str) -> str:
    """The name of a host of the lab."""
    if text not in HOSTS:
        raise argparse.ArgumentTypeError(f"no host {text!r} in the lab; there are: {', '.join(HOSTS)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
