"""A server's database as a backup has it."""

from __future__ import annotations

import time
from typing import Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.control import change_state
from roles.backup.kinds.program import LONG, Program
from roles.prefect.kinds.door.doorway import Doorway
from roles.prefect.kinds.door.notice import Notice
from roles.prefect.kinds.memory import memory_of

#: Postgres's names have at most 63 bytes.
STEM = 40


@kind
class DatabaseRestored(Resource):
    """The database of a server on this host replaced by a backup; what was there is renamed, and a note names it.

    The backup is loaded under another name while the server runs. Then the server is stopped, names are exchanged, and
    the server is started and must prove itself: ``health`` and ``proof`` are resources that must hold. Whatever fails
    before that puts the old database back. ``unit``: the server's. ``place``: the database's name, or SQLite's file.
    ``backup``: its name, or latest. Other fields: see BackupTaken.
    """

    name: str
    python: str
    config: str
    unit: str
    place: str
    backup: str = "latest"
    health: tuple[Resource, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        if memory_of(self).get("done"):
            return []
        program = Program(self.python, self.config)
        if program.is_there(host):
            found = program.call(host, "check", "--backup", self.backup)
            return [
                Change("restore", after=f"the backup {found['name']} (Prefect {found['prefect']}) into {self.place}")
            ]
        return [Change("restore", after=f"the backup {self.backup} into {self.place}")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        program = Program(self.python, self.config)
        wanted = str(program.call(host, "check", "--backup", self.backup)["name"])
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        new, aside = self._beside("restore", stamp), self._beside("before", stamp)
        host.progress(f"loading {wanted} beside the database in use")
        loaded = program.call(host, "load", "--backup", wanted, "--into", new, timeout=LONG)
        replaced = self._take_place(host, program, new, aside)
        program.call(host, "proven", "--backup", wanted, "--how", "restored in place, and proven by a flow run")
        memory_of(self)["done"] = True
        for text in loaded["notes"]:
            host.note(str(text))
        host.note(f"{self.place} is what the backup {wanted} has: {loaded['rows']} rows; the server is proven on it")
        if replaced:
            host.note(f"the database that was there is {aside}; this deletes it permanently: {self._removal(aside)}")

    def _take_place(self, host: System, program: Program, new: str, aside: str) -> bool:
        """Exchange the names while the server is away, and prove it; or leave everything as it was. Raises Failure.

        Returns whether there was a database before.
        """
        swapped, replaced = False, True
        try:
            host.progress(f"stopping {self.unit}")
            shut(host, self.unit)
            replaced = bool(program.call(host, "swap", "--into", new, "--aside", aside, timeout=LONG)["aside"])
            swapped = True
            open_again(host, self.unit)
            for resource in self.health:
                changes = resource.check(host)
                if changes:
                    resource.apply(host, changes)
        except BaseException as error:
            back = (
                f"there was no database before: {self.place} is what the backup has, and the server was started on it"
            )
            if replaced:
                back = self._put_back(host, program, new, aside, swapped)
            if isinstance(error, Failure):
                raise Failure(f"{error.reason}; {back}", error.cause, error.fix, error.detail) from None
            raise
        return replaced

    def _put_back(self, host: System, program: Program, new: str, aside: str, swapped: bool) -> str:
        """Put the old database back and start the server; what was done, in words. Sends nothing: the controller may be
        gone. Raises Failure where it cannot be done."""
        try:
            if swapped:
                self._shut_again(host)
                program.call(host, "swap", "--into", aside, "--aside", new, timeout=LONG)
            program.call(host, "drop", "--into", new)
            open_again(host, self.unit)
        except Failure as failure:
            raise Failure(
                f"the restore failed, and so did putting the old database back: {failure.reason}",
                fix=f"what was there is {aside if swapped else self.place}, and what was loaded is {new}: rename them "
                f"by hand, then {start_command(host, self.unit)}",
                detail=failure.detail,
            ) from None
        return "the database is as it was, and the server was started on it"

    def _shut_again(self, host: System) -> None:
        """Stop the server that was started on the new database. Raises Failure."""
        try:
            shut(host, self.unit)
        except Failure:
            raise
        except Exception:  # the controller is gone, and with it who is told of progress: the rest is done all the same
            change_state(host, "stop", self.unit)

    def _beside(self, what: str, stamp: str) -> str:
        """A name for another database beside the one in use."""
        return f"{self.place}.{what}-{stamp}" if self.place.startswith("/") else f"{self.place[:STEM]}_{what}_{stamp}"

    def _removal(self, aside: str) -> str:
        return f"rm {aside}" if aside.startswith("/") else f"runuser -u postgres -- dropdb {aside}"


def shut(host: System, unit: str) -> None:
    """Keep the server away from its database; its clients wait at its door, where it has one. Raises Failure."""
    way = Doorway(unit)
    if way.is_there(host):
        way.shut(host, Notice(int(time.time()), 0, 0, "a backup is being restored"))
    else:
        change_state(host, "stop", unit)


def open_again(host: System, unit: str) -> None:
    """Let the server serve again. Raises Failure."""
    way = Doorway(unit)
    if way.is_there(host):
        way.open(host)
    else:
        change_state(host, "start", unit)


def start_command(host: System, unit: str) -> str:
    """What an operator starts the server with: behind a door, systemctl does nothing."""
    return "`fab -H HOST maintenance off`" if Doorway(unit).is_there(host) else f"`systemctl start {unit}`"
