"""What a run costs on the wire."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class Traffic:
    """What a run cost on the wire: execs, and bytes sent and received inside the SSH channel."""

    execs: int = 0
    sent: int = 0
    received: int = 0
