"""Which Python a release gets, as far as files tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.agent.system import Host
from encamp.errors import SettingsError
from encamp.resources.base import Refused
from encamp.resources.python.expectation import PythonExpectation
from roles.prefect import pythons, versions


@pytest.mark.parametrize(
    ("python", "name"), [("", ""), ("3.11", "-py3.11"), ("/usr/bin/python3.11", "-usr_bin_python3.11")]
)
def test_environments_on_different_pythons_have_different_names(python: str, name: str) -> None:
    assert pythons.suffix(python) == name


@pytest.mark.parametrize(
    ("version", "declared", "python", "fits"),
    [
        ("2.0.4", ">=3.7", "3.11", True),
        ("2.7.12", ">=3.7", "3.12", False),
        ("2.20.26", ">=3.8", "3.12", True),
        ("3.3.7", ">=3.9", "3.13", False),
        ("3.8.8", ">=3.10,<3.15", "3.14", True),
        ("3.8.8", ">=3.10,<3.15", "3.9", False),
        ("3.9.1", ">=3.11,<3.16", "3.11", True),
        ("3.9.1", ">=3.11,<3.16", "3.10", False),
    ],
)
def test_a_series_that_the_release_does_not_run_on_is_refused(
    version: str, declared: str, python: str, fits: bool
) -> None:
    requires = versions.python_range(version, declared)
    if fits:
        pythons.check_series("one", version, python, requires, None)
        return
    with pytest.raises(SettingsError, match=f"Prefect {version} does not run on Python {python}"):
        pythons.check_series("one", version, python, requires, None)


@pytest.mark.parametrize("python", ["python3", "3", "3.11.2", "managed"])
def test_what_is_neither_path_nor_series_is_refused(python: str) -> None:
    assert pythons.check_python(python)


@pytest.mark.parametrize(
    ("release", "older"),
    [
        ("2.20.26", ""),
        ("3.8.8", "Prefect 3.4.25 on Python 3.9"),
        ("3.9.1", "Prefect 3.8.8 on Python 3.10, Prefect 3.4.25 on Python 3.9"),
    ],
)
def test_hosts_with_older_pythons_are_told_of_older_releases(release: str, older: str) -> None:
    assert pythons.older(release) == older


def test_a_host_whose_python_is_too_old_learns_what_to_do(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho 3.10.12\n")
    python.chmod(0o755)
    wanted = PythonExpectation("Prefect 3.9.1", ">=3.11,<3.16", str(python), older=pythons.older("3.9.1"))
    with pytest.raises(Refused, match=r"is Python 3\.10\.12, but >=3\.11,<3\.16 is required") as error:
        wanted.check(Host(lambda blob: b"", lambda kind, text: None))
    assert "such as '3.11'" in error.value.fix and "Prefect 3.8.8 on Python 3.10" in error.value.fix
