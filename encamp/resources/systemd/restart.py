"""Restarting or reloading a systemd unit when something it reads has changed."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, HandlerResource, Mark, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import boot_id, unit_state


@kind
class Restart(HandlerResource):
    """Restarts a systemd unit, unless it was already started after the change.

    ``unit``: the unit's name. A stopped unit is left to its Service; one that failed or is in a crash loop is
    restarted, since the change may be the fix.
    """

    unit: str

    def needed(self, host: Reader, mark: Mark) -> bool:
        return _is_needed(host, self.unit, mark)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        from encamp.resources.systemd.control import change_state

        change_state(host, "restart", self.unit)


@kind
class Reload(HandlerResource):
    """Reloads a systemd unit, unless it was already started after the change.

    ``unit``: the unit's name; it must have an ExecReload. A unit that failed or is in a crash loop is restarted.
    """

    unit: str

    def needed(self, host: Reader, mark: Mark) -> bool:
        return _is_needed(host, self.unit, mark)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        from encamp.resources.systemd.control import change_state

        change_state(host, "reload" if unit_state(host, self.unit).active else "restart", self.unit)


def _is_needed(host: Reader, unit: str, mark: Mark) -> bool:
    """Whether ``unit`` still runs with what it read before ``mark``."""
    state = unit_state(host, unit)
    if state.broken:
        return True
    if state.stopped or boot_id(host) != mark.boot:
        # Stopped: its Service starts it. Another boot: everything was started after the mark.
        return False
    # A unit that is just starting may have read the old settings, too.
    # When the start began, not when it ended: settings are read in between.
    return state.begun < mark.monotonic
