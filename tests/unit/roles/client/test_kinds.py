"""What is found on a laptop: variables, project files, environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from encamp.resources.base import Refused
from roles.client.kinds.environment import ClientEnvironment, cloud_keys, toml_settings
from roles.client.kinds.installed import ClientPrefect
from roles.prefect import versions
from roles.prefect.kinds.installs import installed
from roles.prefect.kinds.releases import version_key
from roles.prefect.kinds.user_environment import assignments, exports, profiles_path
from tests.unit.roles.client.laptop import Laptop

URL = "http://vm1:4200/api"


@pytest.fixture
def host(tmp_path: Path) -> Laptop:
    return Laptop(str(tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        "export PREFECT_API_URL=http://x/api",
        '  export PREFECT_API_URL="http://x/api" # why',
        "export A=1 PREFECT_API_URL='http://x/api'",
        "declare -x PREFECT_API_URL=http://x/api",
        "set -gx PREFECT_API_URL http://x/api",
        "PREFECT_API_URL=http://x/api; export PREFECT_API_URL",
        "PREFECT_API_URL=http://x/api\nexport PREFECT_API_URL",
    ],
)
def test_exports_are_seen(line: str) -> None:
    found = list(exports(f"# first\n{line}\n", ".bashrc"))
    assert [(one.name, one.value, one.source) for one in found] == [("PREFECT_API_URL", "http://x/api", ".bashrc:2")]


@pytest.mark.parametrize(
    "line", ["# export PREFECT_API_URL=x", "PREFECT_API_URL=x prefect flow ls", "export MY_PREFECT_API_URL=x"]
)
def test_what_is_no_export_is_not(line: str) -> None:
    assert list(exports(line, ".bashrc")) == []


def test_plain_assignments() -> None:
    assert [one.value for one in assignments("A=1\nexport PREFECT_HOME='/x'\n#PREFECT_HOME=/y\n", ".env")] == ["/x"]


def test_project_files() -> None:
    own = "[api]\nurl = 'http://x/api' # c\n[server]\nurl = 'no'\n"
    assert [(one.name, one.value) for one in toml_settings(own, "p", "")] == [("PREFECT_API_URL", "http://x/api")]
    project = "[tool.prefect]\napi.url = 'http://x/api'\n[tool.prefect.api]\nkey = 'k'\n[tool.other.api]\nurl='n'\n"
    found = [(one.name, one.source) for one in toml_settings(project, "p", "tool.prefect")]
    assert found == [("PREFECT_API_URL", "p:2"), ("PREFECT_API_KEY", "p:4")]


def test_cloud_keys_have_their_place() -> None:
    text = '[profiles.a]\nX="1"\n[profiles."my cloud"]\nPREFECT_API_KEY = "pnu"\n'
    assert list(cloud_keys(text, "f")) == [("my cloud", "f:4")]


def test_overrides_are_told_once_and_without_secrets(host: Laptop, tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("export PREFECT_API_URL=http://me:pw@other/api\nexport PREFECT_API_KEY=pnu_1\n")
    (tmp_path / ".env").write_text(f"PREFECT_API_URL={URL}/\n")
    kind = ClientEnvironment("env", api_url=URL)
    assert kind.check(host) == [] and kind.check(host) == []
    told = "\n".join(host.notes)
    assert len(host.notes) == 2 and ".bashrc:1" in told and ".bashrc:2" in told
    assert "pnu_1" not in told and "pw@" not in told


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("", "{}/.prefect/profiles.toml"),
        ("export PREFECT_HOME=~/p", "{}/p/profiles.toml"),
        ("export PREFECT_HOME=$HOME/p", "{}/p/profiles.toml"),
        ("export PREFECT_PROFILES_PATH=/x/y.toml\nexport PREFECT_HOME=/z", "/x/y.toml"),
        ("export PREFECT_HOME=$(pwd)/p", "{}/.prefect/profiles.toml"),
    ],
)
def test_profiles_lie_where_the_users_prefect_looks(host: Laptop, tmp_path: Path, line: str, path: str) -> None:
    (tmp_path / ".profile").write_text(line + "\n")
    assert profiles_path(host) == path.format(tmp_path)


def test_profiles_lie_where_declared(host: Laptop, tmp_path: Path) -> None:
    assert profiles_path(host, "~/p.toml") == f"{tmp_path}/p.toml"


def environment(root: Path, version: str, python: bool = True) -> None:
    """What an environment with Prefect looks like on disk."""
    (root / f"lib/python3.11/site-packages/prefect-{version}.dist-info").mkdir(parents=True)
    (root / "lib/python3.11/site-packages/prefect_aws-0.1.0.dist-info").mkdir()
    if python:
        (root / "bin").mkdir()
        (root / "bin/python").write_text("")


def own(host: Laptop, tmp_path: Path) -> list[tuple[str, str]]:
    found = [one for one in installed(host) if one.path.startswith(str(tmp_path))]
    return [(one.version, one.path[len(str(tmp_path)) + 1 :]) for one in found]


def test_environments_by_habit(host: Laptop, tmp_path: Path) -> None:
    for place, version in ((".venv", "3.8.8"), ("work/.venv", "2.20.27"), (".local/share/uv/tools/prefect", "3.0.0")):
        environment(tmp_path / place, version)
    assert sorted(own(host, tmp_path)) == [
        ("2.20.27", "work/.venv"),
        ("3.0.0", ".local/share/uv/tools/prefect"),
        ("3.8.8", ".venv"),
    ]


def test_an_environment_behind_a_link_counts_once(host: Laptop, tmp_path: Path) -> None:
    environment(tmp_path / ".local/share/encamp/envs/3.8.8-ab", "3.8.8")
    (tmp_path / ".local/share/encamp/prefect").symlink_to("envs/3.8.8-ab")
    assert own(host, tmp_path) == [("3.8.8", ".local/share/encamp/envs/3.8.8-ab")]


def test_a_home_that_cannot_be_searched_is_no_error(host: Laptop, tmp_path: Path) -> None:
    (tmp_path / ".venv").write_text("not a directory")
    assert own(host, tmp_path) == []


@pytest.mark.parametrize(
    ("client", "server", "says"),
    [
        ("3.8.8", "3.8.8", ""),
        ("3.8.8", "3.9.0", ""),
        ("3.8.8", "3.8.7", "newer than the server"),
        ("3.8.8", "3.6.13", "newer than the server (3.6.13): no task runs and no workers"),
        ("3.4.0", "3.3.5", "newer than the server (3.3.5): no deployments"),
        ("2.20.27", "2.8.7", "newer than the server"),
        ("2.0.4", "2.20.27", ""),
        ("2.7.12", "3.8.8", "older than the server (3.8.8): no deployments"),
        ("3.8.8", "", ""),
    ],
)
def test_versions_that_work_with_the_server(host: Laptop, tmp_path: Path, client: str, server: str, says: str) -> None:
    environment(tmp_path / ".venv", client)
    assert ClientPrefect("c", server).check(host) == []
    note = next(note for note in host.notes if str(tmp_path) in note)
    assert says in note and (says or note.endswith(".venv"))


@pytest.mark.parametrize(
    ("client", "server", "options", "says"),
    [
        ("3.8.8", "2.20.27", {}, "incompatible versions"),
        ("3.8.8", "3.0.11", {}, "extra_forbidden"),
        ("3.8.8", "3.1.0", {}, "extra_forbidden"),
        ("2.7.12", "2.0.4", {}, "422"),
        ("2.20.27", "3.8.8", {"auth_since": "3.1.8"}, "clients before 3.1.8 cannot send"),
        ("3.0.11", "3.8.8", {"auth_since": "3.1.8"}, "clients before 3.1.8 cannot send"),
        ("3.8.7", "3.8.8", {"same": True}, "need the same release"),
    ],
)
def test_versions_that_cannot_work_are_refused(
    host: Laptop, tmp_path: Path, client: str, server: str, options: dict[str, Any], says: str
) -> None:
    environment(tmp_path / ".venv", client)
    with pytest.raises(Refused, match=says) as refusal:
        ClientPrefect("c", server, **options).check(host)
    assert "configure-client --install" in refusal.value.fix
    environment(tmp_path / "work/.venv", server)
    host.forget()
    ClientPrefect("c", server, **options).check(host)
    assert any("cannot work with the server" in note and client in note for note in host.notes), "one of two can"


def test_a_cloud_key_is_refused_where_an_old_client_would_send_it(host: Laptop, tmp_path: Path) -> None:
    (tmp_path / ".zshenv").write_text("export PREFECT_API_KEY=pnu_1\n")
    kind = ClientEnvironment("env", api_url=URL, auth_before_key=versions.AUTH_BEFORE_KEY)
    environment(tmp_path / ".venv", "3.8.8")
    assert kind.check(host) == [] and "PREFECT_API_KEY=***" in host.notes[0]
    environment(tmp_path / "work/.venv", "3.2.15")
    host.forget()
    with pytest.raises(Refused, match=r"\.zshenv:1: PREFECT_API_KEY") as refusal:
        kind.check(host)
    assert "pnu_1" not in str(refusal.value)


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (
            "database",
            {"API_URL": "instead of the database", "DATABASE": "overrides the profile's", "EPHEMERAL": "disables"},
        ),
        (
            "local",
            {"API_URL": "still sends", "DATABASE": "to that database", "EPHEMERAL": "disables"},
        ),
    ],
)
def test_what_still_points_elsewhere_is_told(host: Laptop, tmp_path: Path, mode: str, told: dict[str, str]) -> None:
    lines = (
        "PREFECT_API_URL=http://other/api",
        "PREFECT_API_DATABASE_CONNECTION_URL=postgresql+asyncpg://u:pw1@h/d",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE=false",
    )
    (tmp_path / ".env").write_text("\n".join(lines) + "\n")
    (tmp_path / "prefect.toml").write_text('[server.database]\nconnection_url = "postgresql+asyncpg://u:pw2@h/d"\n')
    ClientEnvironment("env", mode=mode).check(host)
    notes = "\n".join(host.notes)
    assert all(f in notes for f in told.values()) and "pw" not in notes
    assert f"{tmp_path}/prefect.toml:2: PREFECT_SERVER_DATABASE_CONNECTION_URL=***" in notes


def test_version_key() -> None:
    assert version_key("3.10") > version_key("3.9.1") and version_key("3.8.8rc1") == version_key("3.8.8") == (3, 8, 8)
