"""Errors that repeat in the journal of a unit: one line each, with their count and what they mean."""

from __future__ import annotations

from typing import Callable, Optional

from encamp.resources.system import Reader
from roles.doctor.kinds.findings import FAIL, WARN, Finding, ok
from roles.prefect.kinds.known_failures.known import Known
from roles.prefect.kinds.log_errors import Repeated, repeated

#: Errors that are shown of those that repeat.
MOST = 10
Explain = Callable[[str], Optional[Known]]


def check_errors(host: Reader, unit: str, explain: Explain) -> Finding:
    """No error repeats in the unit's journal since its start; ``explain`` knows what an error means."""
    found = repeated(host, unit)
    if not found:
        return ok("no repeated errors since its start")
    worst = next((error for error in found if error.lasting), found[0])
    known = explain(worst.text)
    cause, fix = (known.cause, known.fix) if known else ("", f"read its log: journalctl -u {unit} -e")
    others = "\n".join(_line(error, explain) for error in found[:MOST] if error != worst)
    return Finding(FAIL if worst.lasting else WARN, str(worst), cause, fix, others)


def _line(error: Repeated, explain: Explain) -> str:
    known = explain(error.text)
    return f"{error} ({known.cause})" if known else str(error)
