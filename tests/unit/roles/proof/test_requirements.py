"""The package that a test flow requires: a wheel that pip takes without an index, and takes out again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from roles.proof.kinds import requirements
from roles.proof.kinds.flow import PACKAGE, script
from tests.unit.roles.client.laptop import Laptop


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with pip."""
    place = tmp_path_factory.mktemp("environment") / "env"
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    return str(place / "bin/python")


def knows(python: str) -> bool:
    return subprocess.run([python, "-c", f"import {PACKAGE}"], capture_output=True, check=False).returncode == 0


def install(python: str, folder: Path) -> str:
    """As Prefect's step does, on a machine whose index leads nowhere."""
    argv = [python, "-m", "pip", "install", "-r", requirements.FILE]
    environment = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_installed_without_an_index_even_over_an_earlier_one_and_removed(tmp_path: Path, python: str) -> None:
    host = Laptop(str(tmp_path))
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert sorted(requirements.make(host, str(folder), "")) == sorted(path.name for path in folder.iterdir())
        assert "Successfully installed" in install(python, folder)
        assert knows(python)
    requirements.remove(host, python, "", str(tmp_path))
    assert not knows(python) and host.notes == []


def test_a_package_that_stays_is_said(tmp_path: Path) -> None:
    host = Laptop(str(tmp_path))
    requirements.remove(host, "/nowhere/python", "", str(tmp_path))
    assert len(host.notes) == 1 and PACKAGE in host.notes[0]


def test_only_a_flow_with_a_requirement_imports_it() -> None:
    assert f"import {PACKAGE}\n" in script("name", "token", requires=True)
    assert PACKAGE not in script("name", "token")
