"""Servers that do not run at the moment: units whose program is a Prefect server, started or not."""

from __future__ import annotations

import os
import pwd
import re
import shlex
from typing import Iterator, Mapping, Optional, Sequence

from encamp.resources.system import Reader
from encamp.resources.systemd.environment_file import environment_of
from roles.adopt.kinds.keeper import UNIT, USER_UNIT, Keeper, read_text
from roles.adopt.kinds.processes import SERVER, Process, job_of

_SYSTEM = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
#: A line of a file that encamp itself writes.
OURS = "Managed by encamp"


def dormant_servers(host: Reader, running: Sequence[Process]) -> list[Process]:
    """The servers of units that have no process: stopped, failed, or waiting for a restart. Their ``pid`` is 0."""
    known = {(process.keeper.kind, process.keeper.name) for process in running}
    found = [*_of_system(host), *_of_users(host)]
    return [process for process in found if (process.keeper.kind, process.keeper.name) not in known]


def _of_system(host: Reader) -> Iterator[Process]:
    seen = set()
    for folder in _SYSTEM:
        for name, text in _units(host, folder):
            if name not in seen:
                seen.add(name)
                process = _process(host, Keeper(UNIT, name, _last(text, "User") or "root", name), text)
                if process:
                    yield process


def _of_users(host: Reader) -> Iterator[Process]:
    """Units in the homes of people: those that logged in at least once have them there."""
    for entry in pwd.getpwall():
        if entry.pw_dir.startswith(("/home/", "/root", "/srv/", "/opt/", "/var/lib/")):
            folder = os.path.join(entry.pw_dir, ".config/systemd/user")
            for name, text in _units(host, folder):
                keeper = Keeper(USER_UNIT, name, entry.pw_name, f"{entry.pw_uid}/{name}")
                process = _process(host, keeper, text, entry.pw_dir)
                if process:
                    yield process


def _units(host: Reader, folder: str) -> Iterator[tuple[str, str]]:
    try:
        names = host.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.endswith(".service"):
            text = read_text(host, os.path.join(folder, name))
            if "start" in text and "prefect" in text and OURS not in text:
                yield name, text


def _process(host: Reader, keeper: Keeper, text: str, home: str = "") -> Optional[Process]:
    """The process that a unit's text would start; None where that is no Prefect server."""
    words = _words(_last(text, "ExecStart").lstrip("@-:+!").replace("%h", home or _home(keeper.user)))
    argv = _interpreted(host, words)
    if job_of(argv) != SERVER:
        return None
    cwd = _last(text, "WorkingDirectory").lstrip("-").replace("~", _home(keeper.user)) or "/"
    environment = {"HOME": _home(keeper.user), **_environment(host, text)}
    return Process(0, SERVER, keeper.user, argv, cwd, environment, keeper)


def _interpreted(host: Reader, words: Sequence[str]) -> Sequence[str]:
    """A command line as the kernel runs it: a script is an argument of the interpreter in its first lines."""
    if not words or os.path.basename(words[0]) != "prefect":
        return words
    head = read_text(host, words[0])[:2000]
    interpreter = re.search(r"(/[^\s'\"]*/bin/python[\d.]*)", "\n".join(head.splitlines()[:3]))
    return [interpreter[1] if interpreter else "python3", *words]


def _environment(host: Reader, text: str) -> Mapping[str, str]:
    """Environment= and EnvironmentFile= of a unit's text."""
    found: dict[str, str] = {}
    for line in _all(text, "Environment"):
        found.update((word.partition("=")[0], word.partition("=")[2]) for word in _words(line) if "=" in word)
    for path in _all(text, "EnvironmentFile"):
        found.update(environment_of(read_text(host, path.lstrip("-"))))
    return found


def _all(text: str, key: str) -> list[str]:
    return [found.strip() for found in re.findall(rf"^{key}\s*=(.*)$", text.replace("\\\n", " "), re.MULTILINE)]


def _last(text: str, key: str) -> str:
    return ["", *_all(text, key)][-1]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _home(user: str) -> str:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return "/"
