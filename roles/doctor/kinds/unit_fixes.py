"""Fixes for systemd units: they run, and start at boot, as a deploy leaves them."""

from __future__ import annotations

from typing import Callable

from encamp.resources.system import Reader, System
from encamp.resources.systemd.control import change_state
from encamp.resources.systemd.unit_state import unit_state
from roles.doctor.kinds.findings import Fix


def start(unit: str, verb: str = "start", wait: Callable[[System], object] = bool) -> Fix:
    """Start or restart ``unit``, and enable it at boot; ``wait`` waits until it answers."""

    def apply(host: System) -> None:
        if _is_disabled(host, unit):
            _enable(host, unit)
        change_state(host, verb, unit)
        wait(host)

    return Fix(f"{verb}s {unit}, and enables it if it is not enabled at boot", apply)


def enable(unit: str) -> Fix:
    """Enable ``unit`` at boot."""
    return Fix(f"enables {unit} at boot", lambda host: _enable(host, unit))


def _is_disabled(host: Reader, unit: str) -> bool:
    state = unit_state(host, unit)
    return state.exists and not state.enabled


def _enable(host: System, unit: str) -> None:
    host.run(["systemctl", "enable", "--", unit])
