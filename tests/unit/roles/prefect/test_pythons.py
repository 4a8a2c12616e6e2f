"""Which Python a release gets, as far as files tell."""

from __future__ import annotations

import pytest

from encamp.errors import SettingsError
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
