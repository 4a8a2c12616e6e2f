#!/usr/bin/env python3
"""The lab: real Debian hosts in Docker to deploy to, for the demo and the integration tests.

    lab.py up [HOST...]       start hosts (by default all but the odd ones) and wait until they have booted
    lab.py recreate HOST...   replace hosts by fresh ones; downloads in their caches are kept
    lab.py reboot HOST...     reboot hosts and wait until they are back
    lab.py status             what runs, where, and how it is
    lab.py ssh HOST [CMD...]  log in, or run a command
    lab.py down [--all]       remove the hosts; with --all their download caches and what tests left behind, too

Only the standard library is used, so this runs in a bare checkout with Python 3.10 or later. What is missing of Docker
is installed and started by docker.sh. Keys, host keys and settings of the lab go to .lab/ in the checkout.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import hashlib
import ipaddress
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
IMAGES = HERE / "images"
DOCKER_SH = HERE / "docker.sh"

SUITES = {"bullseye": "debian:11", "bookworm": "debian:12", "trixie": "debian:13"}
MIRROR = "http://deb.debian.org"
NASTY_PASSWORD = (IMAGES / "files" / "nasty" / "password").read_text("utf-8").strip()  # of deploy on nasty1
PULL_SECONDS = 60
BOOT_SECONDS = 120
REBOOT_SECONDS = 180
SHOWN_LINES = 40  # of a failed command's output


class LabError(Exception):
    """Something about the lab is wrong; the message says what to do."""


@dataclass(frozen=True)
class Image:
    """What a host is made from: a target of the Dockerfile, on a release of Debian."""

    target: str = "host"
    suite: str = "bookworm"

    @property
    def name(self) -> str:
        """The image's name, without its tag."""
        return f"encamp-lab/{self.target}" + ("" if self.suite == "bookworm" else f"-{self.suite}")


@dataclass(frozen=True)
class Host:
    """One host of the lab; ``number`` ends its address and its published port. Odd ones start only when named."""

    name: str
    number: int
    image: Image = Image()
    user: str = "deploy"
    odd: bool = False


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


# -- Commands -------------------------------------------------------------------------------------------------------


def up(lab: Lab, names: Sequence[str]) -> None:
    """Start hosts, wait until they have booted, and write how to reach them."""
    prepare(lab, names)
    _compose_up(lab, names)
    _wait_for_all(lab, names)
    write_known_hosts(lab)


def recreate(lab: Lab, names: Sequence[str]) -> None:
    """Replace hosts by fresh ones."""
    prepare(lab, names)
    remove(lab, names)
    up(lab, names)


def remove(lab: Lab, names: Sequence[str]) -> None:
    """Remove hosts; ``up`` makes fresh ones."""
    run([*lab.compose, "rm", "--stop", "--force", *names], env=_environment())


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
    """Remove this lab and those of test runs, download caches included."""
    for env_file in sorted(lab.state.glob("**/compose.env")):
        down(Lab.from_state(env_file.parent), volumes=True)


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


# -- Getting ready --------------------------------------------------------------------------------------------------


def prepare(lab: Lab, names: Iterable[str]) -> None:
    """All a host needs before it can start: Docker, images, key, certificates, name servers, settings."""
    lab.state.mkdir(parents=True, exist_ok=True)
    _ = lab.compose
    tag = recipe_tag()
    ensure_images(tag, {HOSTS[name].image for name in names})
    ensure_key(lab)
    write(lab.ca_bundle, _ca_bundle_source().read_text("utf-8"))
    write(lab.resolv_conf, "".join(f"nameserver {server}\n" for server in _name_servers()))
    write(lab.ssh_config, _ssh_config(lab))
    write(lab.env_file, _compose_variables(lab, tag))


def ensure_key(lab: Lab) -> None:
    """Make the key pair unless it is there."""
    if lab.key.exists() and lab.key.with_suffix(".pub").exists():
        return
    run([str(DOCKER_SH), "need", "ssh-keygen", "openssh-client"], show=True)
    lab.key.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "encamp lab", "-f", str(lab.key)])
    lab.key.chmod(0o600)


def _ca_bundle_source() -> Path:
    """The certificates this machine trusts: what SSL_CERT_FILE names, else the system's bundle."""
    candidates = (
        os.environ.get("SSL_CERT_FILE", ""),
        os.environ.get("REQUESTS_CA_BUNDLE", ""),
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    )
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    raise LabError("no CA bundle found on this machine; name one in SSL_CERT_FILE")


def _name_servers() -> list[str]:
    """Name servers a container can reach: this machine's own, without those on loopback."""
    for source in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        lines = source.read_text("utf-8").splitlines() if source.exists() else []
        words = [line.split() for line in lines]
        servers = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
        usable = [server for server in servers if _is_usable_name_server(server)]
        if usable:
            return usable
    return ["127.0.0.11"]  # Docker's own, which forwards to this machine's


def _is_usable_name_server(server: str) -> bool:
    """Whether a container can ask this server: IPv4 and not on loopback."""
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback


def _compose_variables(lab: Lab, tag: str) -> str:
    """The text of compose.env."""
    variables = {
        "ENCAMP_LAB_PROJECT": lab.project,
        "ENCAMP_LAB_NET": lab.net,
        "ENCAMP_LAB_PORTS": lab.ports,
        "ENCAMP_LAB_STATE": str(lab.state),
        "ENCAMP_LAB_TAG": tag,
        "ENCAMP_LAB_PUBLIC_KEY": lab.public_key,
    }
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def _ssh_config(lab: Lab) -> str:
    """The text of an OpenSSH configuration for all hosts."""
    blocks = []
    for host in HOSTS.values():
        blocks.append(
            f"Host {host.name}\n"
            f"    HostName 127.0.0.1\n"
            f"    Port {lab.port(host.name)}\n"
            f"    User {host.user}\n"
            f'    IdentityFile "{lab.key}"\n'
            f"    IdentitiesOnly yes\n"
            f'    UserKnownHostsFile "{lab.known_hosts}"\n'
            f"    GlobalKnownHostsFile /dev/null\n"
            f"    StrictHostKeyChecking yes\n"
        )
    return "\n".join(blocks)


# -- Images ---------------------------------------------------------------------------------------------------------


def recipe_tag() -> str:
    """A tag that changes with the recipe of the images, so that a changed recipe gets built."""
    digest = hashlib.sha256()
    for file in sorted(path for path in IMAGES.rglob("*") if path.is_file()):
        digest.update(file.relative_to(IMAGES).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update(repr([_sources(suite) for suite in SUITES]).encode())
    return digest.hexdigest()[:12]


def ensure_images(tag: str, images: Iterable[Image]) -> None:
    """Build the images that are not there yet; the plain host first, the others build on it.

    One at a time on the machine: test runs beside each other want the same ones.
    """
    wanted = sorted(images, key=lambda image: (image.target != "host", image.name))
    if all(image_exists(f"{image.name}:{tag}") for image in wanted):
        return
    with open(Path(tempfile.gettempdir()) / f"encamp-lab-images-{os.getuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for image in wanted:
            if not image_exists(f"{image.name}:{tag}"):
                build_image(tag, image)


def image_exists(image: str) -> bool:
    """Whether the engine has an image."""
    return succeeds(["docker", "image", "inspect", image])


def build_image(tag: str, image: Image) -> None:
    """Build one target of the Dockerfile; a dropped connection gets further attempts."""
    say(f"building the image {image.name}; this is done once")
    arguments = {"BASE": base_image(image.suite)}
    arguments |= {name: os.environ[name] for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ}
    options = [option for name, value in arguments.items() for option in ("--build-arg", f"{name}={value}")]
    command = ["docker", "build", "--quiet", "--network", "host", "--target", image.target, *options]
    command += ["--tag", f"{image.name}:{tag}", str(IMAGES)]
    retry(lambda: run(command), f"building {image.name}")


def base_image(suite: str) -> str:
    """A bare Debian: the official image, or one made from the Debian mirror where no registry answers."""
    official = SUITES[suite]
    if image_exists(official):
        return official
    digest = hashlib.sha256(repr(_sources(suite)).encode()).hexdigest()[:12]
    image = f"encamp-lab/debian-{suite}:{digest}"
    if image_exists(image):
        return image
    if succeeds(["docker", "pull", "--quiet", official], timeout=PULL_SECONDS):
        return official
    say(f"no registry has {official}; making it with mmdebstrap")
    retry(lambda: bootstrap_image(suite, image), "mmdebstrap")
    return image


def bootstrap_image(suite: str, image: str) -> None:
    """Make a Debian image out of packages."""
    run([str(DOCKER_SH), "need", "mmdebstrap", "mmdebstrap", "debian-archive-keyring"], show=True)
    with tempfile.TemporaryDirectory(prefix="encamp-lab-") as folder:
        tarball = Path(folder) / "debian.tar"
        options = ["--variant=minbase", "--include=ca-certificates", "--quiet"]
        options += ['--aptopt=Acquire::Retries "5"', '--aptopt=Acquire::Check-Valid-Until "false"']
        run(["mmdebstrap", *options, suite, str(tarball), *_sources(suite)])
        run(["docker", "import", str(tarball), image])


def _sources(suite: str) -> list[str]:
    """The lines of a Debian release's sources.list."""
    return [
        f"deb {MIRROR}/debian {suite} main",
        f"deb {MIRROR}/debian {suite}-updates main",
        f"deb {MIRROR}/debian-security {suite}-security main",
    ]


# -- Hosts ----------------------------------------------------------------------------------------------------------


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


# -- Small things ---------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Tell the user what goes on."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def run(command: Sequence[str], *, show: bool = False, env: dict[str, str] | None = None) -> str:
    """The output of a command; ``show`` lets its errors through to the user as they come."""
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if show else subprocess.PIPE,
        text=True,
        check=False,
        env=env,
    )
    if result.returncode != 0:
        lines = [*result.stdout.splitlines(), *(result.stderr or "").splitlines()]
        details = "\n".join(lines[-SHOWN_LINES:])
        raise LabError(f"exit status {result.returncode} of: {shlex.join(command)}\n{details}".rstrip())
    return result.stdout


def succeeds(command: Sequence[str], timeout: float | None = None) -> bool:
    """Whether a command ends well, and in time."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0


def retry(action: Callable[[], object], what: str, attempts: int = 3) -> None:
    """Do something again when it fails: mirrors and registries drop connections."""
    for attempt in range(1, attempts + 1):
        try:
            action()
            return
        except LabError as error:
            if attempt == attempts:
                raise
            say(f"{what} failed (attempt {attempt} of {attempts}): {error}")
            time.sleep(3 * attempt)


def write(path: Path, text: str) -> None:
    """Write a file unless it says so already. In place: a container may have it mounted."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def _environment() -> dict[str, str]:
    """Our environment without variables that would override those of compose.env."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ENCAMP_LAB_")}


@contextlib.contextmanager
def locked(lab: Lab) -> Iterator[None]:
    """One process at a time changes a lab."""
    lab.state.mkdir(parents=True, exist_ok=True)
    with (lab.state / "lab.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
