"""The screen of fab status: what is wrong in the whole site comes first, then a block for each host."""

from __future__ import annotations

import io
from typing import Any

import pytest

from encamp.output.listener import Head, Recap
from encamp.output.outcome import Failure, Outcome
from encamp.output.site_status import SiteStatus, fitting


def finding(patient: str, name: str, status: str, text: str, **more: str) -> Any:
    return {"event": "finding", "patient": patient, "name": name, "status": status, "text": text, **more}


def shown(found: list[tuple[str, Any]], *outcomes: Outcome) -> tuple[SiteStatus, list[str]]:
    out = io.StringIO()
    screen = SiteStatus(out)
    for host, event in found:
        screen.event(host, event)
    screen.close(Recap(Head("status"), outcomes, 0, 1.0))
    return screen, out.getvalue().splitlines()


FOUND = [
    ("a", {"event": "finding", "patient": "server default", "verdict": "Prefect 3.9.1 at http://a:4200"}),
    ("a", finding("server default", "unit", "ok", "runs")),
    ("a", finding("server default", "pools", "warn", "etl is paused", fix="resume it")),
    ("a", finding("server default", "connection", "ok", "prefect, 12 MiB")),
    ("b", {"event": "finding", "patient": "worker-etl", "verdict": "uses http://a:4200"}),
    ("b", finding("worker-etl", "unit", "FAIL", "it is failed", cause="no memory", fix="restart it", detail="x\ny")),
]


def test_red_comes_before_yellow_before_what_is_well_whatever_the_order_of_hosts() -> None:
    screen, lines = shown(FOUND, Outcome("a", "ok"), Outcome("b", "ok"))
    assert lines[0].endswith("2 hosts: 1 red, 1 warning")
    assert lines[1:] == [
        "FAIL  b  worker-etl  unit: it is failed",
        "      cause: no memory",
        "      fix:   restart it",
        "      | x",
        "      | y",
        "warn  a  server default  pools: etl is paused",
        "      fix:   resume it",
        "",
        "a  server default  warn  Prefect 3.9.1 at http://a:4200",
        "  connection  prefect, 12 MiB",
        "",
        "b  worker-etl  FAIL  uses http://a:4200",
    ]
    assert screen.worst == "FAIL"


def test_a_host_that_was_not_reached_is_red_and_does_not_hide_the_others() -> None:
    gone = Outcome("c", "unreachable", failure=Failure("", "no route"))
    screen, lines = shown(FOUND[:2], Outcome("a", "ok"), gone)
    assert lines[0].endswith("2 hosts: 1 red, 0 warnings") and lines[1].startswith("c  UNREACHABLE")
    assert lines[-1] == "a  server default  ok  Prefect 3.9.1 at http://a:4200" and screen.worst == "ok"


def test_a_text_of_a_host_cannot_steer_the_terminal() -> None:
    _, lines = shown([("a", finding("host", "unit", "warn", "\x1b[2Jgone"))], Outcome("a", "ok"))
    assert lines[1] == "warn  a  host  unit: \\x1b[2Jgone"


def test_what_cannot_be_told_is_not_called_well_and_what_is_not_reached_is_left_out() -> None:
    untold = finding("server default", "schedules", "-", "late runs cannot be counted")
    not_reached = finding("server default", "pools", "-", "not reached")
    screen, lines = shown([*FOUND[:2], ("a", untold), ("a", not_reached)], Outcome("a", "ok"))
    assert lines[0].endswith("1 host: nothing wrong was seen, 1 cannot be told")
    assert lines[1] == "-     a  server default  schedules: late runs cannot be counted"
    assert not [line for line in lines if "not reached" in line] and screen.worst == "ok"


@pytest.mark.parametrize(
    ("texts", "rows", "number"),
    [
        (["one", "two", "three"], 3, 3),
        (["one", "two", "three", "four"], 3, 2),
        (["one", "x" * 11, "three"], 3, 1),  # the first on one row, the second on two, and none for the count
        (["x" * 30, "two"], 3, 0),
        (["", "", ""], 2, 1),
    ],
)
def test_a_line_that_is_wider_than_the_screen_takes_several_rows(texts: list[str], rows: int, number: int) -> None:
    assert fitting(texts, 10, rows) == number
