"""The door of one server: its parts by name, shutting and opening."""

from __future__ import annotations

from typing import Optional

from encamp.resources.system import Reader, System
from encamp.resources.systemd.owners import is_ours
from encamp.shared.record import record
from roles.prefect.kinds.door.notice import Notice, keep, notice_of

_SERVER, _SERVICE = "prefect-server", ".service"


@record
class Doorway:
    """The parts of a door, all named after the unit of the ``server``."""

    server: str

    @property
    def _suffix(self) -> str:
        return self.server[len(_SERVER) : -len(_SERVICE)]

    @property
    def socket(self) -> str:
        """The socket unit that the server's port belongs to."""
        return f"{_SERVER}{self._suffix}.socket"

    @property
    def door(self) -> str:
        """The unit that answers in place of the server while that is shut."""
        return f"prefect-door{self._suffix}{_SERVICE}"

    @property
    def reopening(self) -> str:
        """The timer that opens the door again, and its service, without their suffix."""
        return f"prefect-reopen{self._suffix}"

    @property
    def notice(self) -> str:
        """The server does not start, and the door does, while this file exists: what is going on, since when."""
        return f"/var/lib/prefect/{self._suffix[1:] or 'default'}.shut"

    def is_there(self, host: Reader) -> bool:
        """Whether encamp has built it."""
        return is_ours(host, self.door)

    def found(self, host: Reader) -> Optional[Notice]:
        """Why it is shut; None where it is open."""
        return notice_of(host, self.notice)

    def shut(self, host: System, notice: Notice) -> None:
        """Let the door answer, and stop the server. Raises Failure.

        First the door, then the stop: between them both answer, and at no time nobody. A door that is shut already is
        started anew, with the new words. Where it does not start, an open server stays open. Sends nothing: the
        controller may be gone.
        """
        from encamp.resources.base import Failure
        from encamp.resources.systemd import halted
        from encamp.resources.systemd.control import change_state
        from roles.prefect.kinds.door import reopening

        was_open = self.found(host) is None
        if notice.until:
            reopening.arm(host, self.reopening, notice.until, self.notice, self.server, self.door)
        else:
            reopening.disarm(host, self.reopening)
        keep(host, self.notice, notice)
        try:
            change_state(host, "restart", self.door)
        except Failure:
            if was_open:
                host.remove(self.notice)
                reopening.disarm(host, self.reopening)
                host.query(["systemctl", "stop", "--", self.door])
            raise
        change_state(host, "stop", self.server)
        halted.clear(host, self.server)  # of a `fab stop` before: the end of this opens the server

    def open(self, host: System) -> None:
        """Start the server, and stop the door: who connects meanwhile waits for the server. Raises Failure."""
        from encamp.resources.systemd import halted
        from encamp.resources.systemd.control import change_state
        from roles.prefect.kinds.door import reopening

        host.remove(self.notice)
        change_state(host, "start", self.server)
        halted.clear(host, self.server)  # of a `fab stop` before
        change_state(host, "stop", self.door)
        reopening.disarm(host, self.reopening)
