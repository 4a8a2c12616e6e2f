"""Lines of crontabs, and of rc.local, that start a Prefect server: at boot, or whenever it is not there."""

from __future__ import annotations

import pwd
import re
from typing import Iterator, Mapping, Sequence

from encamp.resources.system import Reader
from encamp.shared.record import factory, record
from roles.adopt.kinds.keeper import read_text

_SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron")
_RC_LOCAL = ("/etc/rc.local", "/etc/rc.d/rc.local")
AT_BOOT = "@reboot"
#: When a line of a crontab runs, and what.
_ENTRY = re.compile(r"^\s*(@\w+|(?:[^\s#=]+\s+){4}[^\s#=]+)\s+(\S.*)$")
_VARIABLE = re.compile(r"^\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$")
#: Programs with which root's script becomes somebody else.
_BECOMES = re.compile(r"\b(?:su|runuser|sudo|setpriv|setuidgid|chpst)\b")
_SERVER = re.compile(r"prefect\b[^\n;|&]*\s(?:server|orion)\s+start\b|prefect\.(?:server|orion)\.api\.server")
_OTHER = re.compile(r"prefect\b[^\n;|&]*\s(?:worker|agent)\s+start\b")
_LARGEST_SCRIPT = 100_000


@record
class BootLine:
    """A line that starts a server: its file, its number, and the command. ``when`` is cron's word or its five fields;
    empty in rc.local. ``variables`` are those that the crontab sets before it."""

    file: str
    number: int
    when: str
    command: str
    variables: Mapping[str, str] = factory(dict)

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


def of_user(host: Reader, user: str) -> Sequence[BootLine]:
    """The lines that start the user's server; what runs at boot comes first.

    Each starts a server itself, or by a script. Where none is seen to, a line at boot that names Prefect and no worker
    counts: a script may start others.
    """
    lines = [(line, _text(host, line.command, user)) for line in _lines(host, user)]
    found = [line for line, text in lines if _SERVER.search(text)]
    if not found:
        found = [line for line, text in lines if line.when == AT_BOOT and "prefect" in text and not _OTHER.search(text)]
    return sorted(found, key=lambda line: line.when not in (AT_BOOT, ""))


def _lines(host: Reader, user: str) -> Iterator[BootLine]:
    for spool in _SPOOLS:
        yield from _in_crontab(host, f"{spool}/{user}", "")
    yield from _in_crontab(host, "/etc/crontab", user)
    for name in host.listdir("/etc/cron.d"):
        yield from _in_crontab(host, f"/etc/cron.d/{name}", user)
    for path in _RC_LOCAL:
        yield from _in_script(host, path, user)


def _in_crontab(host: Reader, path: str, user: str) -> Iterator[BootLine]:
    """Lines of a crontab; in the system's own, those of ``user``, whose name stands before the command."""
    variables: dict[str, str] = {}
    for number, text in enumerate(read_text(host, path).splitlines(), 1):
        variable, found = _VARIABLE.match(text), _ENTRY.match(text)
        if variable:
            variables[variable[1]] = variable[2].strip("'\"")
        elif found:
            owner, _, rest = found[2].partition(" ")
            if not user:
                yield BootLine(path, number, found[1], found[2], dict(variables))
            elif owner == user:
                yield BootLine(path, number, found[1], rest.strip(), dict(variables))


def _in_script(host: Reader, path: str, user: str) -> Iterator[BootLine]:
    """Lines of root's script that name the user; root's own become nobody else."""
    stat = host.stat(path)
    if stat is None or stat.kind != "file":
        return  # a link to the other one
    for number, text in enumerate(read_text(host, path).splitlines(), 1):
        line = text.strip()
        own = not _BECOMES.search(line) if user == "root" else re.search(rf"\b{re.escape(user)}\b", line)
        if line and not line.startswith("#") and own:
            yield BootLine(path, number, "", line)


def _text(host: Reader, command: str, user: str) -> str:
    """A command, and the texts of the scripts that it names."""
    return "\n".join([command, *_scripts(host, command, user)])


def _scripts(host: Reader, command: str, user: str) -> Iterator[str]:
    try:
        home = pwd.getpwnam(user).pw_dir
    except KeyError:
        home = ""
    for word in re.split(r"[\s;&|'\"()]+", command):
        path = re.sub(r"^(?:~|\$HOME|\$\{HOME\})/", f"{home}/", word)
        if path.startswith("/"):
            stat = host.stat(path)
            if stat and stat.kind == "file" and stat.size < _LARGEST_SCRIPT:
                yield read_text(host, path)
