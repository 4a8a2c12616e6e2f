"""Prefect's processes on a host: servers, their background services, workers and agents, whoever started them."""

from __future__ import annotations

import os
import pwd
from typing import Iterator, Mapping, Optional, Sequence

from encamp.resources.system import Reader
from encamp.shared.record import record
from roles.adopt.kinds.keeper import Keeper, keeper_of, read_text

DEFAULT_PORT = 4200
SERVER, SERVICES, WORKER, AGENT = "server", "services", "worker", "agent"
_APPLICATIONS = ("prefect.server.api.server:create_app", "prefect.orion.api.server:create_app")
_COMMANDS = {
    ("server", "start"): SERVER,
    ("orion", "start"): SERVER,
    ("server", "services"): SERVICES,
    ("worker", "start"): WORKER,
    ("agent", "start"): AGENT,
}
#: Options of `prefect` itself that take a value.
_WITH_VALUE = ("-p", "--profile")


@record
class Process:
    """A process of Prefect: what it does, and all that its settings depend on. ``environment`` may hold secrets."""

    pid: int
    job: str
    user: str
    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    keeper: Keeper

    @property
    def python(self) -> str:
        """Its interpreter, by the path that it was started with: that of a virtual environment."""
        return _python(self.argv, self.environment)


def job_of(argv: Sequence[str]) -> str:
    """What a command line of a Python does for Prefect; empty for anything else.

    Wrappers (sudo, sh -c, tmux, uv run) have the same words and do nothing themselves: only an interpreter counts.
    """
    if not argv or not os.path.basename(argv[0]).startswith(("python", "pypy")):
        return ""
    if any(word in _APPLICATIONS for word in argv):
        return SERVER
    words = _after_program(argv)
    return _COMMANDS.get((words[0], words[1]), "") if len(words) > 1 else ""


def option(argv: Sequence[str], *names: str) -> str:
    """The value of an option in a command line, written with a space or with =; empty without it."""
    for place, word in enumerate(argv):
        if word in names and place + 1 < len(argv):
            return argv[place + 1]
        name, equals, value = word.partition("=")
        if equals and name in names:
            return value
    return ""


def port_of(process: Process) -> int:
    """The port in a server's command line or environment, else Prefect's default; a profile may name another one."""
    names = ("PREFECT_SERVER_API_PORT", "PREFECT_ORION_API_PORT")
    given = option(process.argv, "--port") or next(filter(None, map(process.environment.get, names)), "")
    return int(given) if given.isdigit() else DEFAULT_PORT


def _after_program(argv: Sequence[str]) -> Sequence[str]:
    """The words after ``prefect`` (a script, or -m prefect) and its own options."""
    for place, word in enumerate(argv[1:], 1):
        if os.path.basename(word) == "prefect":
            rest = list(argv[place + 1 :])
            while rest and rest[0].startswith("-"):
                rest = rest[2:] if rest[0] in _WITH_VALUE else rest[1:]
            return rest
        if not word.startswith("-"):
            return ()
    return ()


def prefect_processes(host: Reader) -> list[Process]:
    """Every process of Prefect that runs, the oldest first. Read from /proc (proc(5)); as root it is complete."""
    return host.once("prefect-processes", lambda: list(_running(host)))


def _running(host: Reader) -> Iterator[Process]:
    for pid in sorted(int(name) for name in host.listdir("/proc") if name.isdigit()):
        argv = [word for word in read_text(host, f"/proc/{pid}/cmdline").split("\0") if word]
        job = job_of(argv)
        if job:
            user = _user(host, pid)
            yield Process(pid, job, user, argv, _cwd(host, pid), environment(host, pid), keeper_of(host, pid, user))


def environment(host: Reader, pid: int) -> Mapping[str, str]:
    """The environment that a process was started with."""
    pairs = (item.partition("=") for item in read_text(host, f"/proc/{pid}/environ").split("\0"))
    return {name: value for name, _, value in pairs if name}


def _user(host: Reader, pid: int) -> str:
    status = read_text(host, f"/proc/{pid}/status")
    uid = next((line.split()[2] for line in status.splitlines() if line.startswith("Uid:")), "0")
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except KeyError:
        return uid  # of a container's own


def _cwd(host: Reader, pid: int) -> str:
    try:
        found = host.stat(f"/proc/{pid}/cwd")
    except OSError:
        return "/"
    return found.target if found and found.target else "/"


def _python(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    if os.path.isabs(argv[0]):
        return argv[0]
    folders: list[Optional[str]] = [
        *(os.path.join(environment[name], "bin") for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if environment.get(name)),
        *environment.get("PATH", "/usr/local/bin:/usr/bin").split(":"),
    ]
    paths = [os.path.join(folder, argv[0]) for folder in folders if folder]
    return next((path for path in paths if os.access(path, os.X_OK)), argv[0])
