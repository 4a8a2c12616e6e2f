"""Roles of a site's own, beside encamp's: found by every program, and refused where they would take one's place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from encamp.commands.init import init

FAB = Path(sys.executable).with_name("fab")
ROLE = '''
from __future__ import annotations
from collections.abc import Iterator

from encamp.planning.plan import Item
from encamp.resources.files.file import File
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.role import Role


@record
class Settings:
    """Of the motto."""

    motto: str = setting("be kind", "What the host says.")


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    yield File("/etc/motto", host.settings(Settings).motto)


ROLE = Role(
    "motto",
    "talkers",
    settings=(Settings,),
    applies_to=lambda host: host.in_group("talkers"),
    resources=resources,
)
'''
HOSTS = """
all:
  vars: {ansible_host: 127.0.0.1, ansible_port: 1, connect_tries: 1}
  children:
    talkers: {hosts: {web1: {MOTTO}}}
    servers: {hosts: {web2: {public_url: http://web2}}}
"""


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A site with a role, and a folder of Ansible's beside it."""
    init(str(tmp_path))
    (tmp_path / "inventory" / "hosts.yml").write_text(HOSTS.replace("MOTTO", "motto: hello"))
    (tmp_path / "roles" / "motto").mkdir(parents=True)
    (tmp_path / "roles" / "motto" / "role.py").write_text(ROLE)
    (tmp_path / "roles" / "nginx" / "tasks").mkdir(parents=True)
    (tmp_path / "roles" / "nginx" / "tasks" / "main.yml").write_text("[]")
    return tmp_path


def fab(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "ENCAMP_INVENTORY"}
    command = [FAB, *arguments]
    return subprocess.run(command, cwd=site, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_its_settings_are_known(site: Path) -> None:
    done = fab(site, "-H", "web1", "settings")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines() if "motto" in line] == [["motto", "hello"]]


@pytest.mark.parametrize(
    ("written", "said"), [("motot: hello", "did you mean motto?"), ("motto: 3", "motto must be a text")]
)
def test_its_settings_are_checked(site: Path, written: str, said: str) -> None:
    (site / "inventory" / "hosts.yml").write_text(HOSTS.replace("MOTTO", written))
    done = fab(site, "-H", "web1", "deploy", "--check")
    assert done.returncode == 4 and said in done.stderr


def test_its_hosts_are_deployed_by_their_group_and_become_no_servers(site: Path) -> None:
    """The new site says ``adhoc: true``: a host in no group that has a role would be a server."""
    done = fab(site, "deploy", "--check")
    assert done.returncode == 3, done.stderr
    assert {"web1", "web2"} <= {line.split()[0] for line in done.stdout.partition("recap")[2].splitlines() if line}
    assert "web1: public_url" not in done.stderr


def test_a_package_called_roles_in_the_site_hides_nothing(site: Path) -> None:
    (site / "roles" / "__init__.py").write_text("")
    assert "hello" in fab(site, "-H", "web1", "settings").stdout


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("server", ROLE, "encamp has a role of that name", id="encamps"),
        pytest.param("other", ROLE, "there is no ROLE of this name", id="another-name"),
        pytest.param("empty", "", "there is no ROLE of this name", id="none"),
    ],
)
def test_what_is_no_role_of_the_sites_own_is_an_error(site: Path, name: str, content: str, said: str) -> None:
    (site / "roles" / name).mkdir()
    (site / "roles" / name / "role.py").write_text(content)
    done = fab(site, "-H", "web1", "settings")
    assert done.returncode == 4 and said in done.stderr and f"roles/{name}" in done.stderr, done.stderr
