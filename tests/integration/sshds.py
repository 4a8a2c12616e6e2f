"""A host that runs further sshds beside its own, on other ports, each with a configuration and host keys of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lab as machinery
import yaml
from live import LiveLab

HOST = "tiny1"
PASSWORD = "pass%w$ord \\ ü"
SETTINGS, UNREACHABLE = 4, 3
Fab = subprocess.CompletedProcess[str]


def keygen(*arguments: str | Path) -> None:
    subprocess.run(["ssh-keygen", "-q", *map(str, arguments)], check=True, capture_output=True)


def new_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    keygen("-t", kind, "-N", passphrase, "-C", path.name, "-f", path)
    return path


def public(path: Path) -> str:
    return path.with_name(f"{path.name}.pub").read_text("utf-8").strip()


def fingerprint(line: str) -> str:
    done = subprocess.run(["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


_NUMBERS = itertools.count()


class Sshd:
    """One more sshd on the host."""

    def __init__(self, place: Place, port: int) -> None:
        self._place, self.port, self.unit = place, port, f"sshd-{port}-{next(_NUMBERS)}"  # with a log of its own

    def start(self, *options: str, listen: str = "0.0.0.0") -> Sshd:
        lines = [
            f"Port {self.port}",
            f"ListenAddress {listen}",
            "PidFile none",
            "LogLevel VERBOSE",
            *options,
            f"HostKey /etc/ssh/more/{self.port}_ed25519",
            "UsePAM yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "AuthorizedKeysFile /etc/ssh/more/keys",
        ]
        self._place.write(f"/etc/ssh/more/{self.port}.conf", "\n".join(lines))
        self._place.run(f"test -e {self.key} || ssh-keygen -q -t ed25519 -N '' -f {self.key}; mkdir -p /run/sshd")
        command = f"/usr/sbin/sshd -D -e -f /etc/ssh/more/{self.port}.conf"
        self._place.run(f"systemd-run -q --unit={self.unit} --collect {command}")
        self._place.run(f"for i in $(seq 50); do ss -ltn | grep -q ':{self.port} ' && exit; sleep 0.1; done; exit 1")
        return self

    @property
    def key(self) -> str:
        return f"/etc/ssh/more/{self.port}_ed25519"

    def stop(self) -> None:
        self._place.run(f"systemctl stop {self.unit} 2>/dev/null || true")

    def known(self, name: str = "") -> str:
        """A line for known_hosts with the key that it has now."""
        kind, key = self._place.run(f"cat {self.key}.pub").split()[:2]
        return f"{name or f'[{self._place.address}]:{self.port}'} {kind} {key}\n"

    @property
    def log(self) -> str:
        self._place.run("journalctl --sync")
        return self._place.run(f"journalctl -q -o cat -u {self.unit}")


class Place:
    """The host, and the files of one test on this machine."""

    def __init__(self, lab: LiveLab, folder: Path, transport: str) -> None:
        self.lab, self.folder, self.transport = lab, folder, transport
        self.address = lab.address(HOST)
        self.started: list[Sshd] = []

    def run(self, script: str) -> str:
        return machinery.inside(self.lab.lab, HOST, "sh", "-c", script)

    def write(self, path: str, text: str) -> None:
        command = [
            "docker",
            "exec",
            "-i",
            self.lab.lab.container(HOST),
            "sh",
            "-c",
            f"mkdir -p /etc/ssh/more; cat > {path}",
        ]
        subprocess.run(command, input=text + "\n", text=True, check=True)

    def sshd(self, port: int, *options: str, listen: str = "0.0.0.0") -> Sshd:
        server = Sshd(self, port)
        self.started.append(server)
        return server.start(*options, listen=listen)

    def trust(self, *keys: Path) -> None:
        """The keys that log in to the further sshds, and no other."""
        self.write("/etc/ssh/more/keys", "\n".join(map(public, keys)))

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text), "utf-8")
        return path

    def fab(
        self,
        hosts: dict[str, dict[str, Any]],
        *,
        config: str = "",
        env: dict[str, str] | None = None,
        task: tuple[str, ...] = ("history",),
        named: str = "",
    ) -> Fab:
        """Connect to hosts and ask for something small. ``config`` is an ssh_config; none counts but this one."""
        common = {"ansible_user": "deploy", "connect_timeout": 20, "transport": self.transport}
        site = {"all": {"hosts": {name: {**common, **own} for name, own in hosts.items()}}}
        inventory = self.file("hosts.yml", yaml.safe_dump(site, allow_unicode=True))
        config_file = self.file("ssh_config", config)
        environment = {**(env or {}), "SSH_AUTH_SOCK": (env or {}).get("SSH_AUTH_SOCK", "")}
        arguments = ["-S", str(config_file), "-H", named or ",".join(hosts), *task]
        return self.lab.fab(*arguments, inventory=inventory, env=environment, timeout=300)

    def at(self, server: Sshd, *, key: Path | None = None, **more: Any) -> dict[str, Any]:
        """The variables of a host that is one of the sshds."""
        known = self.file(f"known_{server.port}", server.known())
        found = {"ansible_host": self.address, "ansible_port": server.port, "known_hosts": str(known), **more}
        return found | ({"ansible_ssh_private_key_file": str(key)} if key else {})


@contextlib.contextmanager
def agent(folder: Path, *keys: Path) -> Iterator[str]:
    """An ssh-agent with some keys; the path of its socket."""
    socket = folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if socket.exists():
                break
            time.sleep(0.05)
        for key in keys:
            env = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
            subprocess.run(["ssh-add", "-q", str(key)], env=env, check=True, capture_output=True)
        yield str(socket)
    finally:
        process.terminate()
        process.wait()


def well(done: Fab) -> str:
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "Traceback" not in text
    return text


def refused(done: Fab, code: int, *words: str) -> str:
    text = done.stdout + done.stderr
    assert done.returncode == code, text
    assert "Traceback" not in text
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} not in\n{text}"
    return text


def sshd_host(lab: LiveLab) -> Iterator[LiveLab]:
    """The host, as it was before at the end."""
    lab.up(HOST)
    yield lab
    machinery.inside(lab.lab, HOST, "sh", "-c", "rm -rf /etc/ssh/more; usermod -p '!' -s /bin/bash deploy")


def sshd_place(host: LiveLab, folder: Path, transport: str) -> Iterator[Place]:
    """The host for one test, whose further sshds end with it."""
    found = Place(host, folder, transport)
    yield found
    for server in found.started:
        server.stop()
