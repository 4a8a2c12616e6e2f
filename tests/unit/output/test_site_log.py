"""Lines of several hosts become one log."""

from __future__ import annotations

import io
from typing import Any

from encamp.output.listener import Head, Recap
from encamp.output.site_log import SiteLog


def log(*lines: tuple[float, str, str]) -> Any:
    return {"event": "log", "lines": [(when, unit, "INFO", text) for when, unit, text in lines], "position": {}}


def test_lines_come_in_the_order_of_time_and_only_the_last_ones_where_so_many_are_wanted() -> None:
    out = io.StringIO()
    shown = SiteLog(out, last=3)
    shown.event("a", log((1.0, "server", "one"), (3.5, "server", "three"), (3.5, "server", "four")))
    shown.event("b", log((2.25, "worker-x", "two"), (0.5, "worker-x", "\x1b[2Jzero")))
    shown.close(Recap(Head("logs"), (), 0, 1.0))
    assert [line.split("  ")[-1] for line in out.getvalue().splitlines()] == ["two", "three", "four"]
    assert [line[20:23] for line in out.getvalue().splitlines()] == ["250", "500", "500"]
