"""One table for what differs between releases."""

from __future__ import annotations

import pytest

from encamp.errors import SettingsError
from roles import versions


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("2.7.12", "PREFECT_ORION_DATABASE_CONNECTION_URL"),
        ("2.8.0", "PREFECT_API_DATABASE_CONNECTION_URL"),
        ("2.20.27", "PREFECT_API_DATABASE_CONNECTION_URL"),
        ("3.8.8", "PREFECT_SERVER_DATABASE_CONNECTION_URL"),
    ],
)
def test_names_follow_the_release(version: str, name: str) -> None:
    assert versions.setting("database_url", version) == name


def test_what_a_release_lacks_is_left_out() -> None:
    assert versions.environment({"home": "/h", "ui_static_directory": "/ui"}, "2.0.4") == {"PREFECT_HOME": "/h"}


def test_commands_follow_the_release() -> None:
    assert versions.server_command("2.7.12") == ("prefect", "orion", "start")
    assert versions.server_command("2.8.0") == ("prefect", "server", "start")


@pytest.mark.parametrize("word", ["latest", "3", "3.8.8rc1", "3.x", ""])
def test_what_is_no_release_is_refused(word: str) -> None:
    with pytest.raises(SettingsError, match="no release number"):
        versions.parse(word)
