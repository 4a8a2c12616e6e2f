"""A systemd unit file, verified before it replaces the old one."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.files.file import File
from encamp.resources.system import Content, Reader, System
from encamp.resources.systemd import owners
from encamp.resources.systemd.owners import DIRECTORY
from encamp.resources.systemd.unit_state import unit_state

LOADED = "loaded by systemd"


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
            from encamp.resources.systemd.verification import check_accounts, verify_unit

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
