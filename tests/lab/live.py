"""What integration tests see of the lab: hosts that start when a test asks for them, and ways to look at them.

A test run has a lab of its own, so that it does not disturb a demo or another run: the first free one of a few slots,
each with its own network, ports and download caches.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lab as machinery
import testinfra  # type: ignore[import-untyped]  # it has no stubs
import yaml
from layout import CHECKOUT, HOSTS, Lab
from shell import LabError, run

SLOTS = 12
SITE = CHECKOUT / "tests" / "lab" / "inventory" / "hosts.yml"


@contextlib.contextmanager
def free_slot() -> Iterator[Lab]:
    """A lab no other test run uses, for as long as the context lasts.

    A bound port is the claim: it holds for the whole machine, whatever the checkout, and ends with the process.
    """
    for slot in range(SLOTS):
        lab = Lab(
            project=f"encamp-test{slot}",
            net=f"198.18.{30 + slot}",
            ports=str(222 + slot),
            state=CHECKOUT / ".lab" / f"test{slot}",
        )
        with socket.socket() as claim:
            try:
                claim.bind(("127.0.0.1", int(f"{lab.ports}10")))
            except OSError:
                continue
            yield lab
            return
    raise LabError(f"{SLOTS} test runs use this machine's labs already")


class LiveLab:
    """The hosts of one test run. A host starts when it is first asked for, and not before."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.inventory = self.site(folder / "site")
        self._started: set[str] = set()

    def up(self, *names: str, copies: Mapping[str, str] | None = None) -> None:
        """Start hosts that have not been started; several at once are faster than one by one.

        ``copies``: the images that some start from in place of their own; see copies.py.
        """
        missing = [name for name in names if name not in self._started]
        if missing:
            machinery.up(self.lab, missing, copies or {})
            self._started.update(missing)

    def host(self, name: str, user: str = "root") -> testinfra.host.Host:
        """A host to look at with testinfra, by way of Docker: it does not depend on what is tested."""
        self.up(name)
        return testinfra.get_host(f"docker://{user}@{self.lab.container(name)}")

    def recreate(self, *names: str) -> None:
        """Replace hosts by fresh ones: nothing is installed, the host keys are new."""
        machinery.recreate(self.lab, names)
        self._started.update(names)

    def clear(self) -> None:
        """Remove all hosts: the next test that asks for one has a fresh one."""
        self.remove(*self._started)

    def remove(self, *names: str) -> None:
        """Let the next test that asks for one of these hosts have a fresh one."""
        machinery.remove(self.lab, names)
        self._started.difference_update(names)

    def reboot(self, name: str) -> None:
        """Reboot a host and wait until it is back."""
        self.up(name)
        machinery.reboot(self.lab, [name])

    def address(self, name: str) -> str:
        """The address by which other hosts, and this machine, reach a host."""
        return self.lab.address(name)

    def port(self, name: str) -> int:
        """The port of 127.0.0.1 where a host's sshd is published."""
        return self.lab.port(name)

    def ssh(
        self, name: str, command: str, user: str | None = None, *, check: bool = True, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on a host over OpenSSH, as its default user or as another; ``text`` is its stdin."""
        self.up(name)
        login = ["-l", user] if user else []
        result = subprocess.run(
            ["ssh", "-F", str(self.lab.ssh_config), *login, name, command],
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            check=False,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"exit status {result.returncode} of {command!r} on {name}:\n{result.stderr}")
        return result

    def fab(
        self, *arguments: str, env: Mapping[str, str] | None = None, inventory: Path | None = None, timeout: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """Run ``fab`` as an operator would, in the checkout, on this lab's site or another."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("fab")), *arguments],
            cwd=CHECKOUT,
            env={**os.environ, "ENCAMP_INVENTORY": str(inventory or self.inventory), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def ssh_sessions(self, name: str) -> int:
        """How many SSH sessions (execs, shells, subsystems) a host has served since it was created."""
        self.up(name)
        machinery.inside(self.lab, name, "journalctl", "--sync")
        log = machinery.inside(self.lab, name, "journalctl", "-q", "-o", "cat", "-t", "sshd")
        return sum(line.startswith("Starting session:") for line in log.splitlines())

    @contextlib.contextmanager
    def unplugged(self, name: str) -> Iterator[None]:
        """Cut a host's network for a while."""
        self.up(name)
        network = f"{self.lab.project}_lab"
        run(["docker", "network", "disconnect", network, self.lab.container(name)])
        try:
            yield
        finally:
            run(["docker", "network", "connect", "--ip", self.address(name), network, self.lab.container(name)])

    def site(
        self,
        folder: Path,
        *,
        host_vars: Mapping[str, Mapping[str, Any]] | None = None,
        group_vars: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Path:
        """Write a site like tests/lab/inventory for this lab's ports and paths, with settings of a test; its folder."""
        site = yaml.safe_load(SITE.read_text("utf-8"))
        site["all"]["vars"].update(
            ansible_ssh_private_key_file=str(self.lab.key),
            known_hosts=str(self.lab.known_hosts),
            ca_bundle=str(self.lab.ca_bundle),
        )
        for group in site["all"]["children"].values():
            for name, variables in group["hosts"].items():
                self._move(name, variables)
        files = {"hosts": site}
        files |= {f"host_vars/{name}": dict(values) for name, values in (host_vars or {}).items()}
        files |= {f"group_vars/{name}": dict(values) for name, values in (group_vars or {}).items()}
        for file, content in files.items():
            path = folder / f"{file}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")
        return folder

    def _move(self, name: str, variables: dict[str, Any]) -> None:
        """Point the variables of a host of tests/lab/inventory at this lab's host of that name."""
        assert name in HOSTS, f"tests/lab/inventory names {name}, the lab has no such host"
        variables["ansible_port"] = self.port(name)
        if "public_url" in variables:
            variables["public_url"] = f"http://{self.address(name)}:4200"
