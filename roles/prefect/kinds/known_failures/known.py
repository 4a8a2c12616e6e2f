"""An entry of the tables."""

from __future__ import annotations

from encamp.shared.record import record


@record
class Known:
    """A fault known by its text: ``pattern`` is a regular expression for one or more lines of a log."""

    pattern: str
    cause: str
    fix: str
