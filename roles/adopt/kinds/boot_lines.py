"""Lines of crontabs that start a Prefect server at boot."""

from __future__ import annotations

import re
from typing import Iterator, Optional

from encamp.resources.system import Reader
from encamp.shared.record import record
from roles.adopt.kinds.keeper import read_text

_SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron")
_REBOOT = re.compile(r"^\s*@reboot\s+(.*)$")


@record
class BootLine:
    """A line of a crontab: its file, its number, and the command that cron runs."""

    file: str
    number: int
    command: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


def of_user(host: Reader, user: str) -> Optional[BootLine]:
    """The line that starts the user's server at boot; None without one.

    It names Prefect itself, or a script that does.
    """
    for line in _lines(host, user):
        if "prefect" in line.command or any("prefect" in text for text in _scripts(host, line.command)):
            return line
    return None


def _lines(host: Reader, user: str) -> Iterator[BootLine]:
    for spool in _SPOOLS:
        yield from _in_file(host, f"{spool}/{user}", "")
    yield from _in_file(host, "/etc/crontab", user)
    for name in host.listdir("/etc/cron.d"):
        yield from _in_file(host, f"/etc/cron.d/{name}", user)


def _in_file(host: Reader, path: str, user: str) -> Iterator[BootLine]:
    """Lines of a crontab; in the system's own, those of ``user``, whose name stands before the command."""
    for number, text in enumerate(read_text(host, path).splitlines(), 1):
        found = _REBOOT.match(text)
        if found:
            owner, _, rest = found[1].partition(" ")
            if not user:
                yield BootLine(path, number, found[1])
            elif owner == user:
                yield BootLine(path, number, rest)


def _scripts(host: Reader, command: str) -> Iterator[str]:
    """The texts of the files that a command names."""
    for word in command.split():
        if word.startswith("/"):
            stat = host.stat(word)
            if stat and stat.kind == "file" and stat.size < 100_000:
                yield read_text(host, word)
