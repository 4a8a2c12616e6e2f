"""The programs `encamp` and `fab`, in a site, outside of one, and in somebody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import encamp
from encamp import fabfile, tasks
from encamp.cli.executor import FleetTask
from encamp.commands.init import init
from tests.checkout import CHECKOUT

BIN = Path(sys.executable).parent
#: Fabric's own program, which stays the one on the PATH where Fabric was installed after encamp.
FABRICS_OWN = ("-c", "import sys; from fabric.main import program; sys.argv[0] = 'fab'; program.run()")
PROGRAMS = {"encamp": [BIN / "encamp"], "fab": [BIN / "fab"], "fabric's own": [BIN / "python", *FABRICS_OWN]}


def run(program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "ENCAMP_INVENTORY"} | {"COLUMNS": "80"}
    command = [*PROGRAMS[program], *arguments]
    return subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def names(listing: subprocess.CompletedProcess[str]) -> set[str]:
    """The tasks that ``--list`` names."""
    assert listing.returncode == 0, listing.stderr
    lines = [line for line in listing.stdout.splitlines() if line.startswith("  ") and line[2] != " "]
    return {line.split()[0] for line in lines}


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    init(str(tmp_path / "site"))
    return tmp_path / "site"


def test_every_task_is_named_for_fabfiles() -> None:
    assert {name for name, value in vars(tasks).items() if isinstance(value, FleetTask)} == {*fabfile.__all__, "init"}


@pytest.mark.parametrize("program", ["encamp", "fab"])
def test_the_version_is_encamps_too(program: str, tmp_path: Path) -> None:
    done = run(program, "--version", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"encamp {encamp.__version__}"
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["encamp", "Fabric", "Invoke", "Paramiko"]


@pytest.mark.parametrize("program", ["fab", "fabric's own"])
def test_a_site_has_every_task(program: str, site: Path) -> None:
    wanted = names(run(program, "--list", cwd=CHECKOUT))
    assert wanted and names(run(program, "--list", cwd=site)) == wanted
    assert names(run("encamp", "--list", cwd=site)) == wanted | {"init"}


def test_encamp_has_every_task_where_no_fabfile_is(tmp_path: Path, site: Path) -> None:
    assert names(run("encamp", "--list", cwd=tmp_path)) == names(run("encamp", "--list", cwd=site))
    assert "find any collection" in run("fab", "--list", cwd=tmp_path).stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_command_without_a_task_has_fabrics_view_of_openssh(program: str, site: Path, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("Host prefect1\n  HostName 127.0.0.1\n  Port 1\n")
    done = run(program, "-S", str(config), "-H", "prefect1", "--", "true", cwd=site)
    assert done.returncode == 1 and "Unable to connect to port 1 on 127.0.0.1" in done.stderr, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_tasks_of_the_sites_own(program: str, site: Path) -> None:
    with (site / "fabfile.py").open("a") as file:
        file.write("import fabric\n\n\n@fabric.task\ndef greet(c):\n    print('hello')\n")
    done = run(program, "greet", cwd=site)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    assert {"greet", "deploy"} <= names(run(program, "--list", cwd=site))


def test_encamps_tasks_stand_beside_those_of_another_project(tmp_path: Path) -> None:
    (tmp_path / "fabfile.py").write_text("import fabric\n\n\n@fabric.task\ndef deploy(c):\n    print('theirs')\n")
    assert run("encamp", "deploy", cwd=tmp_path).stdout == "theirs\n"
    done = run("encamp", "inventory", "--inventory", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 4 and "hosts.yml" in done.stderr


def test_a_fabfile_that_was_named_must_be_there(tmp_path: Path) -> None:
    done = run("encamp", "-c", "nosuch", "deploy", cwd=tmp_path)
    assert done.returncode == 1 and "nosuch" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_site_of_a_newer_encamp_says_so(program: str, site: Path) -> None:
    config = (site / "fabric.yaml").read_text()
    (site / "fabric.yaml").write_text(config.replace(f"version: {encamp.__version__}", "version: 99.0.0"))
    done = run(program, "inventory", cwd=site)
    assert done.returncode == 4, done.stdout
    assert f"made by encamp 99.0.0, and this is encamp {encamp.__version__}" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_another_checkout_has_its_own_encamp(program: str, tmp_path: Path) -> None:
    """Whichever the program belongs to: a mix of two would deploy what neither was tested with."""
    for name in ("encamp", "roles", "templates"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("fabfile.py", "fabric.yaml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    for name in ("encamp/tasks.py", "encamp/commands/inventory.py", "roles/stages.py"):
        with (tmp_path / name).open("a") as file:
            file.write(f"\nprint('{name} of the copy')\n")
    done = run(program, "inventory", "--inventory", str(tmp_path / "nowhere"), cwd=tmp_path)
    assert done.returncode == 4 and done.stdout.count("of the copy") == 3, done.stdout


@pytest.mark.parametrize("arguments", [["init"], ["init", "."], ["init", "../site"]])
def test_init_by_its_program(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "site").mkdir()
    done = run("encamp", *arguments, cwd=tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "inventory" / "hosts.yml").is_file()
    again = run("encamp", *arguments, cwd=tmp_path / "site")
    assert again.returncode == 1 and "already has fabfile.py" in again.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_plain_fabric_still_works(program: str, site: Path) -> None:
    done = run(program, "-H", "127.0.0.1:1", "--", "true", cwd=site)
    assert done.returncode == 1 and "Unable to connect to port 1" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_site_is_where_its_fabfile_is(program: str, site: Path) -> None:
    """From a folder below it, the same inventory, templates and records."""
    (site / "inventory" / "hosts.yml").write_text(
        "all: {hosts: {web1: {ansible_host: 127.0.0.1, ansible_port: 1, public_url: http://web1}}}\n"
    )
    (site / "below").mkdir()
    assert "web1" in run(program, "inventory", cwd=site / "below").stdout
    done = run(program, "-H", "web1", "deploy", "--check", "--set", "connect_tries=1", cwd=site / "below")
    assert done.returncode == 3, done.stderr
    assert [path.parent for path in site.rglob("*.jsonl")] == [site / ".encamp" / "runs"]
    assert "deploy --check" in run(program, "history", cwd=site / "below").stdout
