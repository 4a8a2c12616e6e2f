"""A client on macOS: its places, by the real agent on a home that looks like one. No Mac runs these tests.

What cannot be had here is stood in for: there is no /proc on macOS, launchd answers `launchctl getenv`.
"""

from __future__ import annotations

import os
import plistlib
from pathlib import Path

import pytest

from roles.client.kinds.ca import ClientCa
from roles.client.kinds.environment import ClientEnvironment
from roles.client.kinds.installed import ClientPrefect
from roles.client.kinds.profile.prefect_profile import PrefectProfile
from roles.client.kinds.profile.undo import UndoProfile
from roles.prefect.kinds import user_environment
from roles.prefect.kinds.installs import installed
from tests.agent.conftest import Converge, statuses
from tests.unit.roles.client.laptop import Laptop

URL = "http://vm1:4200/api"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a macOS user: zsh, launch agents, Apple's Python with packages of the user's own."""
    home = tmp_path / "Users/ann"
    packages = home / "Library/Python/3.9/lib/python/site-packages"
    (packages / "prefect-2.20.26.dist-info").mkdir(parents=True)
    poetry = home / "Library/Caches/pypoetry/virtualenvs/etl-Xy1-py3.12"
    (poetry / "lib/python3.12/site-packages/prefect-3.8.8.dist-info").mkdir(parents=True)
    (poetry / "bin").mkdir()
    (poetry / "bin/python").write_text("")
    (home / ".zprofile").write_text('export PATH="$HOME/.local/bin:$PATH"\nexport PREFECT_API_URL=http://zsh/api\n')
    agents = home / "Library/LaunchAgents"
    agents.mkdir(parents=True)
    setenv = {"Label": "env", "ProgramArguments": ["launchctl", "setenv", "PREFECT_PROFILE", "work"]}
    (agents / "env.plist").write_bytes(plistlib.dumps(setenv))
    worker = {"Label": "flows", "EnvironmentVariables": {"PREFECT_API_URL": "http://agent/api"}}
    (agents / "flows.plist").write_bytes(plistlib.dumps(worker))
    monkeypatch.setenv("HOME", str(home))
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    return home


def test_the_profile_is_written_and_taken_back_where_prefect_looks_on_macos(home: Path, converge: Converge) -> None:
    """Prefect uses ~/.prefect there, too, not ~/Library."""
    profile = PrefectProfile("hosted", {"PREFECT_API_URL": URL})
    assert statuses(converge(profile)) == {profile.id: "changed"}
    file = home / ".prefect/profiles.toml"
    assert f'PREFECT_API_URL = "{URL}"' in file.read_text() and file.stat().st_mode & 0o777 == 0o600
    assert statuses(converge(profile)) == {profile.id: "ok"}
    assert statuses(converge(UndoProfile())) == {UndoProfile().id: "changed"}
    assert not file.exists()


def test_what_zsh_and_launchd_give_is_told_with_its_place(home: Path, converge: Converge) -> None:
    found = converge(ClientEnvironment("env", api_url=URL, profile="hosted"))
    notes = "\n".join(event["text"] for event in found if event["event"] == "note")
    assert f"{home}/.zprofile:2: PREFECT_API_URL=http://zsh/api overrides the profile's API URL" in notes
    assert "LaunchAgents/env.plist:" in notes and "PREFECT_PROFILE=work overrides the active profile" in notes
    assert (
        "LaunchAgents/flows.plist:" in notes
        and "PREFECT_API_URL=http://agent/api overrides the profile's API URL" in notes
    )


def test_prefect_of_apples_python_and_of_poetry_is_found(home: Path, converge: Converge) -> None:
    host = Laptop(str(home))
    found = {one.version: one for one in installed(host) if one.path.startswith(str(home))}
    assert set(found) == {"2.20.26", "3.8.8"}
    assert found["3.8.8"].python.endswith("etl-Xy1-py3.12/bin/python")
    assert "python3" in found["2.20.26"].python and "Library/Python" not in found["2.20.26"].python
    events = converge(ClientPrefect("client", server_version="3.8.8"))
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert any("older than the server (3.8.8)" in note and "Library/Python/3.9" in note for note in notes)


def test_launchd_is_asked_where_there_is_one(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`launchctl setenv` leaves no file; programs started from the Dock have it."""
    program = tmp_path / "launchctl"
    program.write_text('#!/bin/sh\n[ "$1 $2" = "getenv PREFECT_API_URL" ] && echo http://dock/api\nexit 0\n')
    program.chmod(0o755)
    monkeypatch.setattr(user_environment, "LAUNCHCTL", str(program))
    found = [one for one in user_environment.variables(Laptop(str(home))) if one.source == user_environment.LAUNCHD]
    assert [(one.name, one.value) for one in found] == [("PREFECT_API_URL", "http://dock/api")]


def test_authorities_go_into_a_file_of_the_users_own(home: Path, converge: Converge) -> None:
    """No keychain: the profile names the file, to HTTP and WebSockets alike. Public authorities stay trusted."""
    kind = ClientCa("~/.local/share/encamp/ca/profile-hosted.pem", "-----BEGIN CERTIFICATE-----\nown\n")
    assert statuses(converge(kind)) == {kind.id: "changed"} and statuses(converge(kind)) == {kind.id: "ok"}
    text = (home / ".local/share/encamp/ca/profile-hosted.pem").read_text()
    assert text.startswith("-----BEGIN CERTIFICATE-----\nown\n")
