"""What lines of logs say of themselves: levels of four kinds of program, logins, times of Postgres's file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from encamp.resources.system import Result
from roles.logs.kinds import file_log, journal
from roles.logs.kinds.line import LogLine, chosen, of_text
from roles.logs.kinds.logs import BATCH, Logs
from tests.unit.roles.client.laptop import Laptop


@pytest.mark.parametrize(
    ("text", "priority", "level"),
    [
        ("06:44:07.866 | INFO    | Flow run 'orange-lynx' - begins", "6", "INFO"),
        ("12:00:00.1 | WARNING | prefect.server - late", "6", "WARNING"),
        ("2026-12-01 06:53:37.850 UTC [3438] LOG:  checkpoint starting: time", "", "INFO"),
        ('2026-12-01 06:53:37.850 UTC [3438] prefect@prefect ERROR:  relation "x"', "", "ERROR"),
        ("2026-12-01 06:53:37.850 UTC [3438] FATAL:  the database system is starting up", "", "CRITICAL"),
        ('{"level":"warn","ts":1.0,"msg":"slow"}', "6", "WARNING"),
        ("prefect-server.service: Failed with result 'exit-code'.", "4", "WARNING"),
        ("Traceback (most recent call last):", "6", ""),
        ("\x1b[31m12:00 | ERROR   | red\x1b[0m", "6", "ERROR"),
    ],
)
def test_the_level_is_what_the_program_says_or_else_the_priority(text: str, priority: str, level: str) -> None:
    assert of_text(1.0, "u", text, priority).level == level


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to postgresql+asyncpg://me:se/cr@t@db/x", "to postgresql+asyncpg://me:***@db/x"),
        ("http://127.0.0.1:4200/api", "http://127.0.0.1:4200/api"),
        ("see https://:pw@proxy:3128 now", "see https://:***@proxy:3128 now"),
        ("\x1b[1mbold\x1b[0m", "bold"),
    ],
)
def test_the_password_of_a_login_does_not_show(text: str, shown: str) -> None:
    assert of_text(1.0, "u", text).text == shown


def test_a_traceback_has_the_level_of_the_line_before_it_in_its_unit() -> None:
    lines = [
        LogLine(1, "a", "ERROR", "broke"),
        LogLine(2, "b", "INFO", "well"),
        LogLine(3, "a", "", "Traceback"),
        LogLine(4, "b", "", "more of it"),
    ]
    assert [line.text for line in chosen(lines, "WARNING", "")] == ["broke", "Traceback"]
    assert [line.text for line in chosen(lines, "", "e$|it")] == ["broke", "more of it"]


def test_a_file_is_read_on_from_where_it_was_whole_lines_only_and_from_its_start_when_it_was_emptied(
    tmp_path: Path,
) -> None:
    log, host = tmp_path / "log", Laptop(str(tmp_path))
    log.write_text("2026-12-01 06:00:00.250 UTC [1] LOG:  one\n\tof two lines\n2026-12-01 06:00:01.000 UTC [1] LO")
    lines, end = file_log.read(host, str(log), "postgres", None)
    assert [(line.time, line.text[-5:]) for line in lines] == [(1796104800.25, "  one"), (1796104800.25, "lines")]
    with log.open("a") as file:
        file.write("G:  two\n")
    lines, end = file_log.read(host, str(log), "postgres", end)
    assert [line.text[-8:] for line in lines] == ["LOG:  two"[-8:]] and end == os.path.getsize(log)
    assert file_log.read(host, str(log), "postgres", end) == ([], end)
    log.write_text("2026-12-01 07:00:00.000 UTC [1] LOG:  new\n")
    lines, _ = file_log.read(host, str(log), "postgres", end)
    assert [line.text[-3:] for line in lines] == ["new"]
    assert file_log.read(host, str(tmp_path / "none"), "postgres", None) == ([], 0)


class Journal(Laptop):
    """A host whose journalctl says a few entries, as the options want them; ``asked`` is how it was called last."""

    def query(self, argv: Sequence[str], *_: object, **__: object) -> Result:
        self.asked = list(argv)
        entries = [
            {"__CURSOR": f"c{n}", "__REALTIME_TIMESTAMP": f"{n}000000", "_SYSTEMD_UNIT": "u", "MESSAGE": f"line {n}"}
            for n in range(3)
        ]
        lines = [json.dumps(entry) for entry in (entries[::-1] if "--reverse" in argv else entries)]
        return Result(tuple(argv), 0, "\n".join(lines) + "\n", "")


def test_the_last_lines_are_read_backwards_because_older_systems_take_the_first_ones_after_a_time() -> None:
    host = Journal("/")
    lines, cursor = journal.latest(host, {"u": "server"}, {}, "1 hour ago", 3)
    assert {"--reverse", "-n", "3", "--since=1 hour ago"} <= set(host.asked)
    assert [line.text for line in lines] == ["line 0", "line 1", "line 2"] and cursor == "c2"
    lines, cursor = journal.following(host, {"u": "server"}, {}, "--after-cursor=c0")
    assert "--reverse" not in host.asked and [line.time for line in lines] == [0, 1, 2] and cursor == "c2"
    assert journal.latest(host, {}, {}) == ([], "")


def test_only_the_last_batch_of_lines_says_where_to_go_on() -> None:
    class Sent(Laptop):
        def log(self, data: Mapping[str, Any]) -> None:
            batches.append((len(data["lines"]), data["position"]))

    batches: list[tuple[int, Any]] = []
    many = [LogLine(1.0, "u", "INFO", "x")] * (2 * BATCH + 1)
    Logs("logs").send(Sent("/"), many, {"journal": "c"})
    Logs("logs").send(Sent("/"), [], {"journal": "d"})
    assert batches == [(BATCH, {}), (BATCH, {}), (1, {"journal": "c"}), (0, {"journal": "d"})]


def test_bytes_that_are_not_utf_8_do_not_move_the_place_where_a_file_is_read_on(tmp_path: Path) -> None:
    log, host = tmp_path / "log", Laptop(str(tmp_path))
    utf_8, latin_1 = "2026-12-01 06:00:00.000 UTC [1] LOG:  caf\u00e9 \u20ac\n", "\tLatin-1: \xe9\xe8\xea\nbegun \xe9"
    log.write_bytes(utf_8.encode() + latin_1.encode("latin-1"))
    lines, end = file_log.read(host, str(log), "postgres", None)
    assert [line.text[-4:] for line in lines] == ["fé €", " ���"]
    assert end == log.read_bytes().rfind(b"\n") + 1
    with log.open("ab") as file:
        file.write(b"nded\n")
    assert [line.text for line in file_log.read(host, str(log), "postgres", end)[0]] == ["begun �nded"]
