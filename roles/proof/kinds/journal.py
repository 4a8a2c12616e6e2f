"""What a unit's journal says of a failure: of a flow run that failed before its flow began, its own log has nothing."""

from __future__ import annotations

import re

from encamp.resources.system import Reader
from encamp.resources.systemd.unit_state import unit_name

LINES, SHOWN, LENGTH = 300, 20, 400
#: Words of errors: levels of logs, names of exceptions, and what the programs of pull steps print.
WRONG = re.compile(r"Error\b|ERROR|CRITICAL|\[Errno|fatal:|[Nn]o module named|Permission denied")
#: Lines that quote the source of a traceback.
QUOTED = re.compile(r"\s|Traceback")


def errors_since(host: Reader, unit: str, begun: float) -> list[str]:
    """The lines of errors since ``begun`` (seconds since the epoch, by the host's clock), the first ones first."""
    # Backwards, as in log_errors: the last lines, on older systems as well.
    argv = ["journalctl", "-u", unit_name(unit), "--since", f"@{begun:.0f}", "--reverse", "-n", str(LINES), "-o", "cat"]
    lines = host.query([*argv, "-q", "--no-pager"], timeout=15).out.splitlines()[::-1]
    wrong = [line[:LENGTH] for line in lines if WRONG.search(line) and not QUOTED.match(line)]
    return list(dict.fromkeys(wrong))[:SHOWN]
