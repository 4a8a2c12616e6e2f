"""The hosts of a benchmark: lab hosts made in numbers, each near (its own address) or far (behind a delaying relay)."""

from __future__ import annotations

import concurrent.futures
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from debian_images import recipe_tag
from layout import HERE, Image, Lab
from preparing import prepare
from shell import LabError, run, succeeds

IMAGE = Image()
FIRST_ADDRESS = 101
FIRST_RELAY_PORT = 24000
BOOT_SECONDS = 120
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SYS_NICE", "SYS_PTRACE")


@dataclass(frozen=True)
class Place:
    """An sshd, and where to connect to reach it. ``machine``: the host that it runs on, where ``name`` is not that."""

    name: str
    address: str
    port: int = 22
    machine: str = ""

    @property
    def host(self) -> str:
        return self.machine or self.name


class BenchHosts:
    """Plain hosts ``b01`` to ``b32`` in a network of their own. ``known_hosts`` and ``key`` let everyone in."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.project = f"{lab.project}-bench"
        self.net = f"{lab.net.rpartition('.')[0]}.{int(lab.net.rpartition('.')[2]) + 60}"
        self.key = lab.key
        self.known_hosts = lab.state / "bench_known_hosts"

    def up(self, count: int) -> list[Place]:
        """Start the first ``count`` hosts, unless they run, and wait until they have booted."""
        prepare(self.lab, ["vm1"])
        if not succeeds(["docker", "network", "inspect", self.project]):
            run(["docker", "network", "create", "--subnet", f"{self.net}.0/24", self.project])
        places = [Place(f"b{number:02}", f"{self.net}.{FIRST_ADDRESS + number - 1}") for number in range(1, count + 1)]
        for place in places:
            if not succeeds(["docker", "inspect", self.container(place.name)]):
                self._start(place)
        for place in places:
            self._wait(place)
        return places

    def install(self, places: Sequence[Place], package: str) -> None:
        """Have a Debian package on hosts."""
        script = f"dpkg -s {package} > /dev/null 2>&1 || {{ apt-get -q update && apt-get -q -y install {package}; }}"
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda place: self.inside(place.name, "sh", "-c", script), places))

    def down(self) -> None:
        """Remove the hosts and their network."""
        label = f"label=encamp-bench={self.project}"
        found = run(["docker", "ps", "-aq", "--filter", label]).split()
        if found:
            run(["docker", "rm", "-f", *found])
        subprocess.run(["docker", "network", "rm", self.project], capture_output=True, check=False)

    def container(self, name: str) -> str:
        return f"{self.project}-{name}"

    def inside(self, name: str, *command: str) -> str:
        """What a command prints that root runs in a host, by way of Docker."""
        return run(["docker", "exec", self.container(name), *command])

    def expect(self, name: str, workers: int) -> None:
        """Look at what a deploy has made of a host. Raises LabError when that is not what was declared."""
        script = (
            "cat /etc/app/app.env; systemctl is-active app.service app-report.timer;"
            "tr '\\0' '\\n' < /proc/$(systemctl show --value -p MainPID app.service)/environ"
        )
        found = self.inside(name, "sh", "-c", script)
        if found.count(f"APP_WORKERS={workers}\n") != 2 or "active\nactive\n" not in found:
            raise LabError(f"{name}: file and service were to have {workers} workers:\n{found}")

    def remember(self, places: Sequence[Place]) -> None:
        """Record the hosts' keys, for whatever addresses they are reached by."""
        file = "/etc/ssh/ssh_host_ed25519_key.pub"
        keys = {name: self.inside(name, "cat", file) for name in {place.host for place in places}}
        known = set(self.known_hosts.read_text("utf-8").splitlines()) if self.known_hosts.exists() else set()
        lines = {
            f"{place.address if place.port == 22 else f'[{place.address}]:{place.port}'} "
            + " ".join(keys[place.host].split()[:2])
            for place in places
        }
        addressed = {line.split()[0] for line in lines}
        kept = {line for line in known if line.split()[0] not in addressed}
        self.known_hosts.write_text("\n".join(sorted(kept | lines)) + "\n", "utf-8")

    def _start(self, place: Place) -> None:
        image = f"{IMAGE.name}:{recipe_tag()}"
        command = ["docker", "run", "-d", "--name", self.container(place.name), "--hostname", place.name]
        command += ["--label", f"encamp-bench={self.project}", "--network", self.project, "--ip", place.address]
        command += [option for name in CAPABILITIES for option in ("--cap-add", name)]
        command += ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
        command += ["--tmpfs", "/run:exec,mode=755", "--tmpfs", "/run/lock:mode=1777", "--tmpfs", "/tmp:exec,mode=1777"]
        command += ["-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "-v", f"{self.lab.resolv_conf}:/etc/resolv.conf:ro"]
        command += [*_cgroup_host(self.lab), "-e", f"ENCAMP_LAB_PUBLIC_KEY={self.lab.public_key}", image]
        run(command)

    def _wait(self, place: Place) -> None:
        command = ["docker", "exec", self.container(place.name), "systemctl", "is-system-running", "--wait"]
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            state = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
            if state in ("running", "degraded"):
                return
            time.sleep(0.5)
        raise LabError(f"{place.name} did not boot within {BOOT_SECONDS} s")


def _cgroup_host(lab: Lab) -> list[str]:
    """As compose.cgroup-host.yml does for engines that know the option."""
    return ["--cgroupns", "host"] if "compose.cgroup-host.yml" in " ".join(lab.compose) else []


@contextlib.contextmanager
def far(places: Sequence[Place], milliseconds: int, state: Path) -> Iterator[list[Place]]:
    """The same hosts, ``milliseconds`` of round trip away. 0: as they are."""
    if not milliseconds:
        yield list(places)
        return
    moved = [Place(place.name, "127.0.0.1", FIRST_RELAY_PORT + number) for number, place in enumerate(places)]
    routes = [f"{new.port}={old.address}:{old.port}" for new, old in zip(moved, places)]
    command = [sys.executable, str(HERE / "relay.py"), str(milliseconds), *routes]
    with (state / "relay.log").open("w") as log:
        relay = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert relay.stdout is not None and relay.stdin is not None
        if relay.stdout.readline().strip() != "ready":
            raise LabError(f"the relay did not start: {(state / 'relay.log').read_text('utf-8')}")
        yield moved
    finally:
        assert relay.stdin is not None
        relay.stdin.close()
        relay.wait(10)
