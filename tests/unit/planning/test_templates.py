"""Templates: every variable required, secrets stay secret, systemd's quoting rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.errors import PlanError
from encamp.planning.templates import render
from encamp.shared.secret import Secret
from encamp.support.quoting import env_value, unit_word


def test_a_missing_variable_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("one\n{{ missing }}\n")
    with pytest.raises(PlanError) as caught:
        render("t.j2", tmp_path)
    assert "'missing' is undefined" in str(caught.value)
    assert str(caught.value.where).endswith("t.j2:2")


def test_a_syntax_error_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("one\n{% if %}\n")
    with pytest.raises(PlanError) as caught:
        render("t.j2", tmp_path)
    assert str(caught.value.where).endswith("t.j2:2")


def test_text_that_used_a_secret_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("password={{ p }}\n")
    found = render("t.j2", tmp_path, p=Secret("hunter2"))
    assert isinstance(found, Secret) and found.reveal() == "password=hunter2\n"
    assert render("t.j2", tmp_path, p="open") == "password=open\n"


def test_a_filtered_secret_is_still_one(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("password={{ p | env_value }}\n")
    found = render("t.j2", tmp_path, p=Secret("a b"))
    assert isinstance(found, Secret) and found.reveal() == 'password="a b"\n'


def test_a_kept_text_follows_template_and_variables(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("{{ a }}\n")
    assert [render("t.j2", tmp_path, a=a) for a in ("1", "2", "1")] == ["1\n", "2\n", "1\n"]
    (tmp_path / "t.j2").write_text("<{{ a }}>\n")
    assert render("t.j2", tmp_path, a="1") == "<1>\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("http://h:4200/api", "http://h:4200/api"),
        ("postgresql+asyncpg://u@/db?host=/run/pg", "postgresql+asyncpg://u@/db?host=/run/pg"),
        ("a b", '"a b"'),
        ("p%40$\\\"`'", '"p%40\\$\\\\\\"\\`\'"'),
        ("", '""'),
    ],
)
def test_environment_file_values(value: str, written: str) -> None:
    assert env_value(value) == written


def test_a_line_break_cannot_smuggle_in_another_variable() -> None:
    with pytest.raises(ValueError, match="line break"):
        env_value("a\nPREFECT_API_URL=x")


@pytest.mark.parametrize(
    ("word", "written"), [("/bin/x", "/bin/x"), ("50%", "50%%"), ("a b", '"a b"'), ("$HOME", "$$HOME")]
)
def test_unit_words(word: str, written: str) -> None:
    assert unit_word(word) == written
