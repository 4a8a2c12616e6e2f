"""The last lines of a unit's journal."""

from __future__ import annotations

from encamp.resources.system import Reader
from encamp.resources.systemd.unit_state import unit_name


def journal_tail(host: Reader, unit: str, lines: int = 20) -> str:
    """The last ``lines`` lines that ``unit``, or systemd about it, logged; empty if they cannot be read."""
    result = host.query(["journalctl", "-u", unit_name(unit), "-n", str(lines), "--no-pager", "-q", "-o", "cat"])
    return result.out.strip() if result.ok else ""


def journal_since_start(host: Reader, unit: str, lines: int) -> str:
    """The last ``lines`` lines that the present process of ``unit`` and its children logged; empty if it has none."""
    name = unit_name(unit)
    invocation = host.query(["systemctl", "show", "--property=InvocationID", "--value", "--", name]).out.strip()
    if not invocation:
        return ""
    argv = ["journalctl", f"_SYSTEMD_INVOCATION_ID={invocation}", "-n", str(lines), "--no-pager", "-q", "-o", "cat"]
    return host.query(argv, timeout=15).out
