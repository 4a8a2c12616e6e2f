"""A unit file of systemd, verified before it replaces the old one."""

from __future__ import annotations

import re
from typing import Iterator, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.files.file import File
from encamp.resources.system import Content, Reader, System
from encamp.resources.systemd.unit_state import unit_state

DIRECTORY = "/etc/systemd/system"
LOADED = "loaded by systemd"
VERIFY = ("systemd-analyze", "verify", "--man=no")
# Older versions colour their lines even where no terminal reads them.
PLAIN = {"SYSTEMD_LOG_COLOR": "0"}


@kind
class SystemdUnit(Resource):
    """A unit file in /etc/systemd/system, verified before it replaces the old one and loaded by systemd.

    ``name``: the unit's full name, such as prefect-server.service. ``content``: the whole file; the programs and users
    it names must exist by then. ``ensure``: present, or absent (stop the unit with a Service first).
    """

    name: str
    content: Content = ""
    ensure: str = "present"

    def check(self, host: Reader) -> list[Change]:
        found = host.stat(self._path)
        if self.ensure == "absent":
            return [Change("file", "present", "absent")] if found else []
        if found and found.kind == "symlink" and found.target == "/dev/null":
            raise Refused(
                f"{self.name} is masked on this host",
                "somebody forbade this unit to start",
                f"if it may run: systemctl unmask {self.name}",
            )
        changes = self._file.check(host)
        if not changes and not _is_loaded(host, self.name):
            changes.append(Change(LOADED, "an older version", "this file"))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if self.ensure == "absent":
            host.remove(self._path)
        else:
            self._install(host, {change.what for change in changes}, changes)
        host.run(["systemctl", "daemon-reload"])

    def _install(self, host: System, differs: set[str], changes: Sequence[Change]) -> None:
        if differs & {"file", "content"}:
            text = host.text(self.content)
            verify_unit(host, self.name, text)
            check_accounts(host, self.name, text)
        if differs != {LOADED}:
            self._file.apply(host, changes)

    @property
    def _path(self) -> str:
        return f"{DIRECTORY}/{self.name}"

    @property
    def _file(self) -> File:
        return File(self._path, self.content)


def _is_loaded(host: Reader, name: str) -> bool:
    """Whether systemd knows the file as it is. A killed run may have left a new file that systemd never read."""
    if "@." in name:
        # A template is read when an instance starts; systemd does not show it.
        return True
    state = unit_state(host, name)
    return state.exists and not state.needs_reload


def verify_unit(host: System, name: str, text: str) -> None:
    """Let ``systemd-analyze verify`` read the unit before it is installed. Raises Failure with its complaints.

    systemd knows a unit by its file's name, so the candidate gets that name in a directory of its own.
    """
    directory = f"/run/encamp-verify-{name}"
    candidate = f"{directory}/{name}"
    host.remove(directory)
    host.mkdir(directory, "root", "root", 0o700)
    try:
        host.write(candidate, text)
        complaints = _complaints(host, name, candidate)
    finally:
        host.remove(directory)
    if complaints:
        raise Failure(
            f"systemd refuses the new {name}: the old one stays",
            complaints[0],
            "correct the unit's template or settings; every program it names must be installed first",
            "\n".join(complaints),
        )


def _complaints(host: Reader, name: str, candidate: str) -> list[str]:
    """What systemd has against this unit itself. Mistakes in units that it pulls in are no reason to refuse it."""
    result = host.query([*VERIFY, "--recursive-errors=no", candidate], env=PLAIN)
    if "unrecognized option" in result.err:
        # Before systemd 250 (Debian 11) it speaks of all units that it read.
        result = host.query([*VERIFY, candidate], env=PLAIN)
    elif result.ok:
        return []
    lines = complaints_about(name, candidate, result.err)
    if not lines and not result.ok and name not in result.err:
        last = result.tail.rpartition("\n")[2]
        host.note(f"systemd-analyze could not verify {name} ({last}): its start will tell")
    return lines


def complaints_about(name: str, candidate: str, said: str) -> list[str]:
    """Those lines of ``systemd-analyze verify`` that concern the unit ``name``, whose new file is ``candidate``."""
    # A template is verified as an instance of systemd's choosing: its name goes on after the @.
    prefix = name.partition("@")[0] + "@" if "@." in name else f"{name}:"
    lines = [line for line in said.splitlines() if line.startswith((candidate, prefix, f"Unit {name} "))]
    # "Failed to create x.service/start" is about a unit that x requires.
    return [line.replace(candidate, name) for line in lines if ": Failed to create " not in line]


def check_accounts(host: Reader, name: str, text: str) -> None:
    """``verify`` accepts users and groups that do not exist, and the start then fails. Raises Failure for those."""
    if re.search(r"^DynamicUser\s*=\s*(yes|true|on|1)\s*$", text, re.MULTILINE | re.IGNORECASE):
        return
    for database, account in _accounts(text):
        if host.query(["getent", database, account]).code == 2:
            kind = "user" if database == "passwd" else "group"
            raise Failure(
                f"{name} names the {kind} {account}, who does not exist on this host: the old unit stays",
                fix=f"declare the {kind} before the unit",
            )


def _accounts(text: str) -> Iterator[tuple[str, str]]:
    """Users and groups named in a unit, as (getent database, name); specifiers such as %i are systemd's to fill in."""
    databases = {"User": "passwd", "Group": "group", "SupplementaryGroups": "group"}
    for key, value in re.findall(r"^(User|Group|SupplementaryGroups)\s*=\s*(.*?)\s*$", text, re.MULTILINE):
        yield from ((databases[key], word) for word in value.split() if "%" not in word)
