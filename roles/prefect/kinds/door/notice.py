"""What a shut door says: since when, until when, why. Its file keeps the server from starting, over reboots, too."""

from __future__ import annotations

import json
import time
from typing import Any, Optional

from encamp.resources.system import Reader, System
from encamp.shared.record import record


@record
class Notice:
    """``since``, ``until``: seconds since the epoch (0: open end); ``seconds``: the length that was asked for."""

    since: int
    until: int
    seconds: int
    message: str

    def __str__(self) -> str:
        end = f" until {when(self.until)}" if self.until else ""
        return f"shut since {when(self.since)}{end}" + (f": {self.message}" if self.message else "")


def notice_of(host: Reader, path: str) -> Optional[Notice]:
    """The notice at ``path``; None where the door is open. A damaged file counts: the server does not start then."""
    raw = host.read(path)
    if raw is None:
        return None
    try:
        found: dict[str, Any] = json.loads(raw)
        return Notice(int(found["since"]), int(found["until"]), int(found["seconds"]), str(found["message"]))
    except (ValueError, KeyError, TypeError):
        stat = host.stat(path)
        return Notice(int(stat.mtime) if stat else 0, 0, -1, "")


def keep(host: System, path: str, notice: Notice) -> None:
    """Write the notice; the door, which is not root, reads it."""
    fields = {"since": notice.since, "until": notice.until, "seconds": notice.seconds, "message": notice.message}
    host.write(path, json.dumps(fields), "root", "root", 0o644)


def when(seconds: float) -> str:
    """A time as people read it."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
