"""The tools of the benchmark: how each is installed, told of the hosts, run, and asked what it changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml
from layout import CHECKOUT, HERE

from bench.hosts import Place

PEERS = HERE / "peers"
TEMPLATES = PEERS / "templates"
USER = "deploy"


@dataclass(frozen=True)
class Fleet:
    """The hosts of one measurement and how to log in to them; ``folder`` is for a tool's own files."""

    places: Sequence[Place]
    key: Path
    known_hosts: Path
    folder: Path

    @property
    def names(self) -> str:
        return ",".join(place.name for place in self.places)


@dataclass(frozen=True)
class Job:
    """A process to run: what is timed."""

    argv: Sequence[str]
    cwd: Path = CHECKOUT
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, timeout: float) -> str:
        """What it prints. Raises SystemExit when it fails, TimeoutExpired when it takes too long."""
        # As on an operator's machine: compiled modules may be kept.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | dict(self.env)
        # Into a file, not a pipe: the connections that Ansible keeps would hold it open for a minute after the end.
        with tempfile.TemporaryFile("w+") as output:
            code = subprocess.run(
                self.argv,
                cwd=self.cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            ).returncode
            output.seek(0)
            said = output.read()
        if code:
            raise SystemExit(f"exit status {code} of {' '.join(self.argv)}:\n{said}")
        return said


class Tool(Protocol):
    """A tool that makes hosts be what is declared for the plain workload."""

    name: str
    settings: str
    #: Debian packages that hosts need for it.
    needs: tuple[str, ...]

    def version(self) -> str:
        """Its version; installs it where it is missing."""
        ...

    def job(self, fleet: Fleet, workers: int) -> Job:
        """The process that deploys to the hosts, with ``workers`` as the value that the inventory gives."""
        ...

    def changes(self, output: str) -> int:
        """How many resources it says it changed, on all hosts, handlers included."""
        ...

    def hang_up(self, fleet: Fleet) -> None:
        """Close what the last run left open, so that the next is as cold as a run after a pause."""


class Environment:
    """A Python environment of a tool's own, under .lab/peers."""

    def __init__(self, folder: Path, *requirements: str) -> None:
        self._folder, self._requirements = folder, requirements

    def program(self, name: str) -> str:
        """The path of a program in it, installed at the first use."""
        path = self._folder / "bin" / name
        if not path.exists():
            print(f"installing {' '.join(self._requirements)} into {self._folder}", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(self._folder)], check=True)
            pip = [str(self._folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *self._requirements], check=True)
        return str(path)

    def packages(self, *names: str) -> str:
        """Names and versions of installed packages."""
        code = "import sys, importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
        command = [self.program("python"), "-c", code, *names]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    @property
    def site_packages(self) -> Path:
        return next((self._folder / "lib").glob("python*/site-packages"))


class Encamp:
    """encamp's engine with the plain workload declared in its own kinds of resources."""

    name = "encamp"
    settings = "--forks = hosts"
    needs: tuple[str, ...] = ()

    def version(self) -> str:
        import fabric
        import paramiko

        from encamp import __version__

        return f"encamp {__version__}, fabric {fabric.__version__}, paramiko {paramiko.__version__}"

    def job(self, fleet: Fleet, workers: int, service: bool = True, forks: int = 0) -> Job:
        """Without ``service`` files only; ``forks`` 0: all hosts at once."""
        site = fleet.folder / "encamp.yml"
        variables = {
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(fleet.key),
            "known_hosts": str(fleet.known_hosts),
            "workers": workers,
            "service": service,
        }
        _write_inventory(site, fleet, variables)
        fab = str(Path(sys.executable).with_name("fab"))
        argv = [
            fab,
            "-H",
            fleet.names,
            "converge",
            "--inventory",
            str(site),
            "--forks",
            str(forks or len(fleet.places)),
        ]
        return Job(argv, PEERS / "encamp")

    def changes(self, output: str) -> int:
        return sum(map(int, re.findall(r"\bchanged=(\d+)", output)))

    def hang_up(self, fleet: Fleet) -> None:
        """Nothing is left open."""


class Ansible:
    """Ansible with pipelining, kept connections, no facts, as many forks as hosts."""

    name = "ansible"
    strategy = "linear"
    settings = "pipelining, forks = hosts, ControlPersist=60s, gather_facts: false, interpreter named"
    #: The apt module installs what it imports at its first run, which Mitogen cannot go on from.
    needs: tuple[str, ...] = ("python3-apt",)

    def __init__(self, environments: Path) -> None:
        self._environment = Environment(environments / "ansible", "ansible-core", "mitogen")

    def version(self) -> str:
        return self._environment.packages("ansible-core")

    def job(self, fleet: Fleet, workers: int) -> Job:
        site = fleet.folder / "ansible.yml"
        variables = {
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(fleet.key),
            "ansible_python_interpreter": "/usr/bin/python3",
            "files": str(TEMPLATES),
            "title": "{{ inventory_hostname }}",
            "workers": workers,
        }
        _write_inventory(site, fleet, variables)
        config = fleet.folder / f"{self.name}.cfg"
        config.write_text(self._config(fleet), "utf-8")
        program = self._environment.program("ansible-playbook")
        argv = [program, "-i", str(site), str(PEERS / "ansible" / "plain.yml")]
        return Job(argv, PEERS / "ansible", {"ANSIBLE_CONFIG": str(config)})

    def _config(self, fleet: Fleet) -> str:
        ssh = "-F /dev/null -o ControlMaster=auto -o ControlPersist=60s -o IdentitiesOnly=yes"
        return (
            "[defaults]\n"
            f"forks = {len(fleet.places)}\n"
            f"strategy = {self.strategy}\n"
            f"strategy_plugins = {self._environment.site_packages / 'ansible_mitogen' / 'plugins' / 'strategy'}\n"
            "deprecation_warnings = False\n"
            "[ssh_connection]\n"
            "pipelining = True\n"
            f"ssh_args = {ssh} -o UserKnownHostsFile={fleet.known_hosts}\n"
            f"control_path_dir = {_control_paths(fleet)}\n"
        )

    def changes(self, output: str) -> int:
        return sum(map(int, re.findall(r": ok=\d+ +changed=(\d+)", output)))

    def hang_up(self, fleet: Fleet) -> None:
        for socket in _control_paths(fleet).iterdir():
            command = ["ssh", "-F", os.devnull, "-o", f"ControlPath={socket}", "-O", "exit", "host"]
            subprocess.run(command, capture_output=True, check=False)


class Mitogen(Ansible):
    """The same Ansible with Mitogen's strategy."""

    name = "mitogen"
    strategy = "mitogen_linear"
    settings = "strategy mitogen_linear; else as ansible"

    def version(self) -> str:
        return self._environment.packages("mitogen", "ansible-core")


class Pyinfra:
    """pyinfra, all hosts at once."""

    name = "pyinfra"
    settings = "--parallel = hosts, --no-wait, -y"
    needs: tuple[str, ...] = ()

    def __init__(self, environments: Path) -> None:
        self._environment = Environment(environments / "pyinfra", "pyinfra")

    def version(self) -> str:
        return self._environment.packages("pyinfra", "paramiko")

    def job(self, fleet: Fleet, workers: int) -> Job:
        data = {
            "ssh_user": USER,
            "ssh_key": str(fleet.key),
            "ssh_known_hosts_file": str(fleet.known_hosts),
            "ssh_strict_host_key_checking": "yes",
            "ssh_config_file": os.devnull,
            "ssh_allow_agent": False,
            "ssh_look_for_keys": False,
            "workers": workers,
            "_sudo": True,
        }
        hosts = [(place.name, {"ssh_hostname": place.address, "ssh_port": place.port}) for place in fleet.places]
        folder = fleet.folder / "pyinfra"
        (folder / "group_data").mkdir(parents=True, exist_ok=True)
        lines = [f"{name} = {value!r}\n" for name, value in data.items()]
        (folder / "group_data" / "all.py").write_text("".join(lines), "utf-8")
        (folder / "inventory.py").write_text(f"hosts = {hosts!r}\n", "utf-8")
        program = self._environment.program("pyinfra")
        argv = [program, "-y", "--parallel", str(len(hosts)), "--no-wait", "inventory.py"]
        return Job([*argv, str(PEERS / "pyinfra" / "plain.py")], folder)

    def changes(self, output: str) -> int:
        found = re.search(r"Grand total +\d+ +(\d+|-) ", output)
        if not found:
            raise SystemExit(f"pyinfra's summary is missing:\n{output}")
        return 0 if found[1] == "-" else int(found[1])

    def hang_up(self, fleet: Fleet) -> None:
        """Nothing is left open."""


def bare_ssh(fleet: Fleet) -> list[list[str]]:
    """The least that any tool over SSH could take, a command for each host: connect, become root, start Python."""
    options = [f"UserKnownHostsFile={fleet.known_hosts}", "IdentitiesOnly=yes", "LogLevel=ERROR"]
    command = ["ssh", "-F", os.devnull, "-i", str(fleet.key), *[word for text in options for word in ("-o", text)]]
    work = ["sudo", "python3", "-c", "pass"]
    return [[*command, "-p", str(place.port), f"{USER}@{place.address}", *work] for place in fleet.places]


def _write_inventory(path: Path, fleet: Fleet, variables: dict[str, Any]) -> None:
    hosts = {place.name: {"ansible_host": place.address, "ansible_port": place.port} for place in fleet.places}
    path.write_text(yaml.safe_dump({"all": {"vars": variables, "hosts": hosts}}, sort_keys=False), "utf-8")


def _control_paths(fleet: Fleet) -> Path:
    folder = Path(f"/tmp/encamp-bench-{os.getuid()}")  # short: a socket's path has 108 bytes
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
