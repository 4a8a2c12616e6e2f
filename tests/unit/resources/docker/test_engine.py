"""The proxy of an engine that encamp installs: where it is, and who can read it."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.docker import api, way_out
from encamp.resources.docker.engine import PLUGINS, DockerEngine
from encamp.resources.systemd.environment_file import environment_of
from encamp.shared.secret import Secret
from tests.unit.resources.case_host import CaseHost

PROXY = Secret('http://user:p%40"$w@proxy:3128')
INSTALLED = {PLUGINS[0]: ""}
#: As encamp wrote it until 0.1.0: systemd shows it to every user.
OLD = f"""{way_out.MARK}
[Service]
Environment="HTTP_PROXY=http://user:p%%40w@proxy:3128"
Environment="NO_PROXY=localhost,127.0.0.1"
"""


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "answers", lambda host: True)


def host(files: dict[str, Any], programs: tuple[str, ...] = ("docker", "dockerd")) -> CaseHost:
    lists = {"/var/lib/apt/lists/x_Packages": {"mtime": 4e9}}
    return CaseHost({"programs": programs, "files": {**lists, **files}})


def text(found: CaseHost, path: str) -> str:
    return (found.read(path) or b"").decode()


def test_a_new_engine_has_its_proxy_in_a_file_for_root() -> None:
    found, engine = host(INSTALLED, ()), DockerEngine("docker", proxy=PROXY)
    engine.apply(found, engine.check(found))
    assert "write /etc/encamp/docker-proxy.env root:root 0600" in [what for what, _ in found.done]
    variables = environment_of(text(found, way_out.VARIABLES))
    assert variables["HTTPS_PROXY"] == PROXY.reveal() and "localhost" in variables["NO_PROXY"]
    assert text(found, way_out.DROP_IN).splitlines()[1:] == ["[Service]", f"EnvironmentFile=-{way_out.VARIABLES}"]
    assert way_out.is_exposed(found) is False


def test_the_proxy_in_an_old_drop_in_moves_into_the_file() -> None:
    found, engine = host({**INSTALLED, way_out.DROP_IN: {"text": OLD, "mode": 0o600}}), DockerEngine("docker")
    changes = engine.check(found)
    assert [change.what for change in changes] == ["proxy"] and "p%" not in repr(changes)
    engine.apply(found, changes)
    assert environment_of(text(found, way_out.VARIABLES)) == {
        "HTTP_PROXY": "http://user:p%40w@proxy:3128",
        "NO_PROXY": "localhost,127.0.0.1",
    }
    assert "user" not in text(found, way_out.DROP_IN)
    assert [what for what, _ in found.done][-1] == "systemctl daemon-reload"
    assert engine.check(found) == []


def test_a_drop_in_of_the_owner_s_stays() -> None:
    found = host({**INSTALLED, way_out.DROP_IN: OLD.replace(way_out.MARK, "# mine")})
    assert DockerEngine("docker").check(found) == []
