"""Starts, stops and restarts units, and says why one did not: needed only where something changes or fails."""

from __future__ import annotations

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.system import Reader, System
from encamp.resources.systemd.journal import journal_tail
from encamp.resources.systemd.unit_state import fresh_state, unit_name, unit_state


def change_state(host: System, verb: str, unit: str) -> None:
    """Run ``systemctl verb unit`` (start, stop, restart, reload). Raises Failure with the unit's journal.

    The failed state of a unit is reset first: its start limit would prevent the new start.
    """
    name = unit_name(unit)
    if verb != "stop" and unit_state(host, name).broken:
        clear_failure(host, name)
    try:
        host.run(["systemctl", verb, "--", name])
    except CommandFailed as failed:
        raise unit_failure(host, name, f"{name} did not {verb}", failed.result.tail) from failed
    if verb != "stop" and unit_state(host, name).broken:
        # For most types of unit systemctl succeeds once the process exists.
        raise unit_failure(host, name, f"{name} failed right after it started")


def clear_failure(host: System, unit: str) -> None:
    """Reset a unit's failed state and its start limit."""
    try:
        host.run(["systemctl", "reset-failed", "--", unit])
    except CommandFailed:
        # The unit is no longer failed, or no longer loaded.
        return


def unit_failure(host: Reader, unit: str, reason: str, output: str = "") -> Failure:
    """A Failure about ``unit`` with the likely cause and its last journal lines; ``output`` is systemctl's own."""
    journal = journal_tail(host, unit)
    cause = fresh_state(host, unit).why() or output.partition("\n")[0]
    fix = f"read the rest of its journal: journalctl -u {unit} -e"
    return Failure(reason, cause, fix, journal or output)
