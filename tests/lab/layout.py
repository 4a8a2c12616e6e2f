"""What the lab consists of: its hosts, their images, and where the things of one lab are."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shell import run

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
STATE = CHECKOUT / ".lab"
DOCKER_SH = HERE / "docker.sh"
NASTY_PASSWORD = (HERE / "images/files/nasty/password").read_text("utf-8").strip()  # of deploy on nasty1


@dataclass(frozen=True)
class Image:
    """What a host is made from: a target of the Dockerfile, on a release of Debian."""

    target: str = "host"
    suite: str = "bookworm"

    @property
    def name(self) -> str:
        """The image's name, without its tag."""
        if self.real_base:
            return f"encamp-lab/{self.target}-{re.sub('[^a-z0-9]+', '-', self.real_base.lower()).strip('-')}"
        return f"encamp-lab/{self.target}" + ("" if self.suite == "bookworm" else f"-{self.suite}")

    @property
    def real_base(self) -> str:
        """The image that it is made from in place of one that poses; empty: none is given."""
        return os.environ.get("ENCAMP_LAB_RHEL_IMAGE", "") if self.target == "rhel" else ""


@dataclass(frozen=True)
class Host:
    """One host of the lab; ``number`` ends its address and its published port. Odd ones start only when named.

    ``degraded``: some units of its system fail, and are to.
    """

    name: str
    number: int
    image: Image = Image()
    user: str = "deploy"
    odd: bool = False
    degraded: bool = False


HOSTS: dict[str, Host] = {
    host.name: host
    for host in (
        Host("vm1", 11),
        Host("vm2", 12),
        Host("laptop1", 13, user="dev"),
        Host("laptop2", 14, user="dev"),
        Host("ufw1", 15, image=Image("ufw")),
        Host("firewalld1", 16, image=Image("firewalld")),
        Host("nft1", 17, image=Image("nft")),
        Host("tiny1", 18),
        Host("nasty1", 19, image=Image("nasty"), odd=True),
        Host("bare1", 20, image=Image("bare"), odd=True),
        Host("old1", 21, image=Image(suite="bullseye"), odd=True),
        Host("new1", 22, image=Image(suite="trixie"), odd=True),
        Host("docker1", 23, image=Image("docker"), odd=True),
        Host("old2", 31, image=Image("docker", "bullseye"), odd=True),
        Host("rhel1", 33, image=Image("rhel"), odd=True),
        Host("lxc1", 34, odd=True, degraded=True),
        Host("new2", 32, image=Image("docker", "trixie"), odd=True),
    )
}


@dataclass(frozen=True)
class Lab:
    """A set of hosts: its Compose project, network, ports and the directory with its keys and settings."""

    project: str
    net: str
    ports: str
    state: Path

    @classmethod
    def from_environment(cls) -> Lab:
        """The lab of this checkout, moved elsewhere by the ENCAMP_LAB_* variables."""
        env = os.environ
        return cls(
            project=env.get("ENCAMP_LAB_PROJECT", "encamp-lab"),
            net=env.get("ENCAMP_LAB_NET", "198.18.20"),
            ports=env.get("ENCAMP_LAB_PORTS", "221"),
            state=Path(env.get("ENCAMP_LAB_STATE", str(CHECKOUT / ".lab"))).resolve(),
        )

    @classmethod
    def from_state(cls, state: Path) -> Lab:
        """The lab that was started with a state directory."""
        lines = (state / "compose.env").read_text("utf-8").splitlines()
        variables = dict(line.split("=", 1) for line in lines)
        return cls(
            project=variables["ENCAMP_LAB_PROJECT"],
            net=variables["ENCAMP_LAB_NET"],
            ports=variables["ENCAMP_LAB_PORTS"],
            state=state,
        )

    @property
    def key(self) -> Path:
        """The private key that logs in to every host."""
        return self.state / "id_ed25519"

    @property
    def public_key(self) -> str:
        """The public half, one line."""
        return self.key.with_suffix(".pub").read_text("utf-8").strip()

    @property
    def known_hosts(self) -> Path:
        """The host keys of all hosts that run."""
        return self.state / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """An OpenSSH configuration: ``ssh -F .lab/ssh_config vm1``."""
        return self.state / "ssh_config"

    @property
    def ca_bundle(self) -> Path:
        """The certificates this machine trusts, a company's own among them."""
        return self.state / "ca_bundle.pem"

    @property
    def resolv_conf(self) -> Path:
        """The name servers of the hosts."""
        return self.state / "resolv.conf"

    @property
    def no_namespaces(self) -> Path:
        """A filter of system calls: nothing is mounted elsewhere once more, as in LXC without nesting."""
        return self.state / "no-namespaces.json"

    @property
    def env_file(self) -> Path:
        """The variables of compose.yml."""
        return self.state / "compose.env"

    def address(self, name: str) -> str:
        """The fixed address of a host in the lab's network."""
        return f"{self.net}.{HOSTS[name].number}"

    def port(self, name: str) -> int:
        """The port on 127.0.0.1 where a host's sshd is published."""
        return int(f"{self.ports}{HOSTS[name].number}")

    def container(self, name: str) -> str:
        """The name of a host's container."""
        return f"{self.project}-{name}"

    @cached_property
    def compose(self) -> list[str]:
        """The Compose command with its files; Docker gets installed and started for it."""
        command = run([str(DOCKER_SH), "compose"], show=True).split()
        files = [HERE / "compose.yml"]
        if command == ["docker", "compose"]:
            files.append(HERE / "compose.cgroup-host.yml")
        options = [option for file in files for option in ("-f", str(file))]
        return [*command, "--env-file", str(self.env_file), *options, "-p", self.project]
