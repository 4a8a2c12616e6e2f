"""A systemd unit file, verified before it replaces the old one."""

from __future__ import annotations

import re
from typing import Iterator, Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.files.file import File
from encamp.resources.system import Content, Reader, System
from encamp.resources.systemd import owners
from encamp.resources.systemd.owners import DIRECTORY
from encamp.resources.systemd.unit_state import unit_state

LOADED = "loaded by systemd"
VERIFY = ("systemd-analyze", "verify", "--man=no")
# Older versions colour their output even without a terminal.
PLAIN = {"SYSTEMD_LOG_COLOR": "0"}


@kind
class SystemdUnit(Resource):
    """A unit file in /etc/systemd/system, verified before it replaces the old one and loaded by systemd.

    ``name``: the unit's full name, such as prefect-server.service. ``content``: the whole file; its programs and users
    must already exist. ``ensure``: present, or absent (stop the unit with a Service first). A unit of that name which
    encamp did not write is refused. The owner's drop-ins are kept; a note names those that change a new unit.
    """

    name: str
    content: Content = ""
    ensure: str = "present"

    def refuse(self, host: Reader) -> None:
        if self.ensure == "present":
            owners.refuse_masked(host, self.name)
            owners.refuse_foreign(host, self.name, self.content)

    def check(self, host: Reader) -> list[Change]:
        stat = host.stat(self._path)
        if self.ensure == "absent":
            return [Change("file", "present", "absent")] if stat else []
        owners.refuse_masked(host, self.name)
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
        if self.ensure == "present" and any(change.what == "file" for change in changes):
            owners.name_drop_ins(host, self.name)

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
    """Whether systemd has loaded the current file. A killed run may have left a new one that it never read."""
    if "@." in name:
        # A template is read when an instance starts; systemd does not show it.
        return True
    state = unit_state(host, name)
    return state.exists and not state.needs_reload


def verify_unit(host: System, name: str, text: str) -> None:
    """Run ``systemd-analyze verify`` on the unit before it is installed. Raises Failure with its messages.

    systemd identifies a unit by its file's name, so the candidate has that name, in a temporary directory.
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
            f"systemd rejects the new {name}; the old one stays",
            complaints[0],
            "correct the unit's template or settings; its programs must be installed first",
            "\n".join(complaints),
        )


def _complaints(host: Reader, name: str, candidate: str) -> list[str]:
    """The messages about this unit itself. Errors in other units that it pulls in are ignored."""
    result = host.query([*VERIFY, "--recursive-errors=no", candidate], env=PLAIN)
    if "unrecognized option" in result.err:
        # Before systemd 250 (Debian 11) the output covers all units that were read.
        result = host.query([*VERIFY, candidate], env=PLAIN)
    elif result.ok:
        return []
    lines = complaints_about(name, candidate, result.err)
    if not lines and not result.ok and name not in result.err:
        last = result.tail.rpartition("\n")[2]
        host.note(f"systemd-analyze could not verify {name} ({last}); starting it will show whether it works")
    return lines


def complaints_about(name: str, candidate: str, output: str) -> list[str]:
    """Those lines of ``systemd-analyze verify`` that concern the unit ``name``, whose new file is ``candidate``."""
    # A template is verified as an instance that systemd chooses: text follows the @.
    prefix = name.partition("@")[0] + "@" if "@." in name else f"{name}:"
    lines = [line for line in output.splitlines() if line.startswith((candidate, prefix, f"Unit {name} "))]
    # "Failed to create x.service/start" is about a unit that x requires.
    return [line.replace(candidate, name) for line in lines if ": Failed to create " not in line]


def check_accounts(host: Reader, name: str, text: str) -> None:
    """Raise Failure for users and groups that do not exist: ``verify`` accepts them, but the start would fail."""
    if re.search(r"^DynamicUser\s*=\s*(yes|true|on|1)\s*$", text, re.MULTILINE | re.IGNORECASE):
        return
    for database, account in _accounts(text):
        if host.query(["getent", database, account]).code == 2:
            kind = "user" if database == "passwd" else "group"
            raise Failure(
                f"{name} uses the {kind} {account}, which does not exist on this host; the old unit stays",
                fix=f"declare the {kind} before the unit",
            )


def _accounts(text: str) -> Iterator[tuple[str, str]]:
    """A unit's users and groups, as (getent database, name), without those with specifiers such as %i."""
    databases = {"User": "passwd", "Group": "group", "SupplementaryGroups": "group"}
    for key, value in re.findall(r"^(User|Group|SupplementaryGroups)\s*=\s*(.*?)\s*$", text, re.MULTILINE):
        yield from ((databases[key], word) for word in value.split() if "%" not in word)
