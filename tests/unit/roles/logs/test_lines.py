"""What lines of logs say of themselves: levels of four kinds of program, logins, times of Postgres's file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roles.logs.kinds import file_log
from roles.logs.kinds.line import LogLine, chosen, of_text
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
