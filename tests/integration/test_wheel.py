"""encamp as users install it: a wheel in an environment of its own, away from the checkout, and a site of theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from live import LiveLab

import encamp
from tests import trees, wheels
from tests.checkout import CHECKOUT
from tests.integration.looks import changed, succeeded

SERVER, LAPTOP = "vm1", "laptop1"
NEXT = "99.0.0"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the site is going to be."""
    return tmp_path_factory.mktemp("home") / "site"


@pytest.fixture(scope="module")
def run(wheel: Path, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a program of the environment, in the site."""
    folder = tmp_path_factory.mktemp("environment")
    programs = wheels.install(wheel, folder)
    env = {name: value for name, value in os.environ.items() if name not in ("ENCAMP_INVENTORY", "PYTHONPATH")}
    env["XDG_CACHE_HOME"] = str(folder / "cache")

    def run(program: str, *arguments: str, cwd: Path = site) -> subprocess.CompletedProcess[str]:
        command = [programs / program, *arguments]
        return subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    return run


@pytest.fixture(scope="module")
def made(run: Run, site: Path, lab: LiveLab) -> Path:
    """The site, made by ``encamp init``, with hosts of the lab."""
    succeeded(run("encamp", "init", "site", cwd=site.parent))
    lab.site(site / "inventory", group_vars={"all": {"database": "sqlite"}})
    return site


@pytest.fixture(scope="module")
def deployed(run: Run, made: Path, lab: LiveLab) -> Path:
    """The site, with its server deployed."""
    lab.up(SERVER, LAPTOP)
    succeeded(run("encamp", "-H", SERVER, "deploy"))
    return made


ROLE = """
from __future__ import annotations

from encamp.settings.declare import setting
from encamp.shared.record import record
from roles.motto.kinds.motto import Motto
from roles.role import Role


@record
class Settings:
    motto: str = setting("be kind", "What the host says at a login.")


def resources(host, site):
    yield Motto("/etc/motd", str(site.templates.render("motto/motto.j2", motto=host.settings(Settings).motto)))


ROLE = Role("motto", "talkers", (Settings,), applies_to=lambda host: host.in_group("talkers"), resources=resources)
"""
KIND = """
from __future__ import annotations

from encamp.resources.base import Change, Resource, kind


@kind
class Motto(Resource):
    path: str
    text: str

    def check(self, host):
        found = host.read(self.path)
        return [] if found == self.text.encode() else [Change("motto", "another", self.text)]

    def apply(self, host, changes):
        host.write(self.path, self.text.encode())
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_is_the_wheel_that_runs(run: Run, made: Path) -> None:
    where = run("python", "-c", "import encamp, roles; print(encamp.__file__, roles.__file__)").stdout
    assert where.count("site-packages") == 2 and str(CHECKOUT) not in where
    assert "deploy" in run("fab", "--list").stdout


def test_a_deployed_server_is_healthy_and_stays_as_it_is(run: Run, deployed: Path, lab: LiveLab) -> None:
    assert lab.host(SERVER).service("prefect-server").is_running
    assert changed(run("fab", "-H", SERVER, "deploy")) == set()
    assert "deploy" in succeeded(run("encamp", "history"))
    assert list((deployed / ".encamp" / "runs").glob("*-deploy-*.jsonl"))


def test_a_laptop_becomes_its_client(run: Run, deployed: Path) -> None:
    succeeded(run("encamp", "-H", LAPTOP, "configure-client", "--install"))
    succeeded(run("encamp", "-H", LAPTOP, "verify"))


def test_a_template_of_the_sites_own_is_what_the_host_gets(run: Run, deployed: Path, lab: LiveLab) -> None:
    own = deployed / "templates" / "prefect_server" / "server.env.j2"
    own.parent.mkdir(parents=True)
    own.write_text("# of this site\n" + (CHECKOUT / "templates" / "prefect_server" / "server.env.j2").read_text())
    done = run("encamp", "-H", SERVER, "deploy", "--no-verify")
    assert "File:/etc/prefect/default/server.env" in changed(done), done.stdout + done.stderr
    content = lab.host(SERVER).file("/etc/prefect/default/server.env").content_string
    assert content.startswith("# of this site\n") and "\nPREFECT_HOME=" in content
    shutil.rmtree(deployed / "templates")
    succeeded(run("encamp", "-H", SERVER, "deploy", "--no-verify"))


def test_a_role_of_the_sites_own_runs_its_own_kind_on_a_host(run: Run, made: Path, lab: LiveLab) -> None:
    """The host is in no group of encamp's, and no server is deployed though the site says ``adhoc: true``."""
    path = made / "inventory" / "hosts.yml"
    site = yaml.safe_load(path.read_text())
    known = site["all"]["children"]["servers"]["hosts"].pop(SERVER)
    site["all"]["children"]["talkers"] = {"hosts": {"talker": {**known, "motto": "hello"}}}
    site["all"]["vars"]["adhoc"] = True
    inventory = made.parent / "talkers.yml"
    inventory.write_text(yaml.safe_dump(site))
    role = {"role.py": ROLE, "kinds/__init__.py": "", "kinds/motto.py": KIND}
    trees.write(made / "roles" / "motto", role)
    trees.write(made / "templates" / "motto", {"motto.j2": "{{ motto }}, world\n"})
    lab.up(SERVER)
    first = run("encamp", "-H", "talker", "deploy", "--inventory", str(inventory))
    succeeded(first)
    assert changed(first) == {"Motto:/etc/motd"}
    assert lab.host(SERVER).file("/etc/motd").content_string == "hello, world\n"
    assert changed(run("encamp", "-H", "talker", "deploy", "--inventory", str(inventory))) == set()


def test_an_upgrade_keeps_a_site_and_the_way_back_is_refused(tmp_path: Path, wheel: Path) -> None:
    programs = wheels.install(wheel, tmp_path / "environment")
    env = {**os.environ, "ENCAMP_INVENTORY": ""}

    def run(*arguments: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([programs / "encamp", *arguments], cwd=cwd, env=env, capture_output=True, text=True)

    succeeded(run("init", "old"))
    before = files_of(tmp_path / "old")
    wheels.install(wheels.build_version(NEXT, tmp_path / "next"), tmp_path / "environment")
    assert run("--version").stdout.startswith(f"encamp {NEXT}\n")
    succeeded(run("inventory", cwd=tmp_path / "old"))
    succeeded(run("init", "new"))
    assert files_of(tmp_path / "old") == before

    wheels.install(wheel, tmp_path / "environment")
    succeeded(run("inventory", cwd=tmp_path / "old"))
    done = run("inventory", cwd=tmp_path / "new")
    assert done.returncode == 4
    assert f"made by encamp {NEXT}, and this is encamp {encamp.__version__}" in done.stderr
