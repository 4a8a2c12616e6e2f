"""Finds what a log or an output means. In a log the first error counts.

The tables are imported when there is something to explain: a host on which nothing fails is not sent them.
"""

from __future__ import annotations

import re
from typing import Optional, Sequence

from roles.prefect.kinds.known_failures.known import Known


def explain(log: str) -> Optional[Known]:
    """The known fault that the first error of a server's ``log`` (several lines) is; None where nothing matches."""
    from roles.prefect.kinds.known_failures.server import SERVER

    return _first(SERVER, log)


def explain_client(output: str) -> Optional[Known]:
    """The same of the output of a flow, a client or a worker: its own faults come before those of a server."""
    from roles.prefect.kinds.known_failures.client import CLIENT
    from roles.prefect.kinds.known_failures.server import SERVER

    return _first((*CLIENT, *SERVER), output)


def _first(table: Sequence[Known], log: str) -> Optional[Known]:
    from roles.prefect.kinds.log_messages import by_weight

    messages = by_weight(log)
    return next((known for text in messages for known in table if re.search(known.pattern, text)), None)
