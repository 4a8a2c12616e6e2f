"""Lines of the log file of a Postgres cluster: Debian's does not log to the journal."""

from __future__ import annotations

import calendar
import re
import time
from typing import Optional

from encamp.resources.system import Reader
from roles.logs.kinds.line import LogLine, of_text

#: Bytes that are read at most at a time, the last ones.
MOST = 4 * 1024 * 1024
#: What Debian's log_line_prefix ('%m [%p] %q%u@%d ') begins with.
STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{3}) (\S+) ")


def read(host: Reader, path: str, name: str, begin: Optional[int]) -> tuple[list[LogLine], int]:
    """The whole lines from byte ``begin`` on (None: as far back as is read), and the byte after them.

    A file that has become shorter was emptied (logrotate's copytruncate): it is read from its start.
    """
    stat = host.stat(path)
    if stat is None or stat.kind != "file":
        return [], 0
    first = max(0, stat.size - MOST)
    start = first if begin is None else max(begin if begin <= stat.size else 0, first)
    if start == stat.size:
        return [], start
    part = [f"if={path}", "bs=1M", f"skip={start}", f"count={stat.size - start}"]
    result = host.query(["dd", *part, "iflag=skip_bytes,count_bytes,fullblock", "status=none"])
    if not result.ok:  # removed just now: the next look sees what is in its place
        return [], start
    text = result.out
    whole, rest = text[: text.rfind("\n") + 1], text[text.rfind("\n") + 1 :]
    lines = whole.splitlines()
    if start and begin is None:
        lines = lines[1:]  # the rest of a line
    # Counted from the end: a byte that is not UTF-8 (Postgres writes what clients send) is three in ``whole``.
    return _dated(lines, name), stat.size - len(rest.replace("\ufffd", "?").encode())


def _dated(lines: list[str], name: str) -> list[LogLine]:
    """Lines with their times; one without a time has that of the line before it."""
    found, when = [], 0.0
    for line in lines:
        stamp = STAMP.match(line)
        if stamp:
            when = _seconds(stamp[1], stamp[3]) + int(stamp[2]) / 1000
        found.append(of_text(when, name, line))
    return found


def _seconds(text: str, zone: str) -> float:
    """A time in UTC, or else in this host's own zone, which is what Debian sets log_timezone to."""
    parsed = time.strptime(text, "%Y-%m-%d %H:%M:%S")
    return float(calendar.timegm(parsed)) if zone in ("UTC", "GMT") else time.mktime(parsed)
