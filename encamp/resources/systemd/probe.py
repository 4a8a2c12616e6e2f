"""Verification that a systemd unit stays active."""

from __future__ import annotations

import time
from typing import ClassVar, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import UnitState, unit_name, unit_state


@kind
class SystemdProbe(Resource):
    """A systemd unit has been active for a while without a restart.

    ``unit``: its name. ``stable_seconds``: how long it must have been active. ``timeout``: seconds to wait for that
    before the deploy fails with the unit's last journal lines.
    """

    changes_host: ClassVar[bool] = False
    waits: ClassVar[bool] = True

    unit: str
    stable_seconds: float = 5
    timeout: float = 60

    def check(self, host: Reader) -> list[Change]:
        state = unit_state(host, self.unit)
        if self._stable(state):
            return []
        from encamp.resources.systemd.halted import drained

        if drained(host, self.unit):  # on purpose
            return []
        before = f"active for {_up(state):.0f} s" if state.active else str(state)
        return [Change("stable", before, f"active for {self.stable_seconds:g} s")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        name = unit_name(self.unit)
        first = unit_state(host, name).restarts
        host.progress(f"waiting until {name} has been active for {self.stable_seconds:g} s")
        state = host.wait_for(lambda: unit_state(host, name), self.timeout, self._decided)
        if not self._stable(state):
            from encamp.resources.systemd.control import unit_failure

            raise unit_failure(host, name, f"{name} does not stay active: {self._history(state, first)}")

    def _stable(self, state: UnitState) -> bool:
        # systemd's times and Python's monotonic clock are both CLOCK_MONOTONIC.
        return state.active and _up(state) >= self.stable_seconds

    def _decided(self, state: UnitState) -> bool:
        """Stable, or in a state that systemd does not leave by itself: no need to wait longer."""
        return self._stable(state) or state.stopped

    def _history(self, state: UnitState, first: int) -> str:
        restarts = max(state.restarts - first, 0)
        suffix = f", after {restarts} restarts within {self.timeout:g} s" if restarts else ""
        return f"{state}{suffix}"


def _up(state: UnitState) -> float:
    return time.monotonic() - state.active_since if state.active else 0.0
