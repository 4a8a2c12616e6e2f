"""Which Python a release gets: the host's own, one that is named, or one of a series that uv brings."""

from __future__ import annotations

import re

from encamp.errors import Origin, SettingsError
from encamp.resources.files.paths import is_series
from encamp.resources.python.interpreters import fits
from roles.prefect import versions

#: A release that needs a newer Python than those before it: (that release, the series it gave up, a release that runs
#: on that series: the last one, and for 3.10 the one that has a lock). From what the releases declare.
LAST_WITH = (("3.9.0", "3.10", "3.8.8"), ("3.5.0", "3.9", "3.4.25"))


def check_python(value: str) -> str | None:
    """What is wrong with the setting ``python``, if anything."""
    if not value or value.startswith(("/", "~/")) or is_series(value):
        return None
    return "neither a path nor a series such as '3.11'"


def check_mirror(value: str) -> str | None:
    """What is wrong with the setting ``python_mirror``, if anything."""
    return None if not value or value.startswith(("http://", "https://", "file:///")) else "no URL"


def check_series(name: str, release: str, python: str, requires: str, where: Origin | None) -> None:
    """Raises SettingsError for a series of Pythons that ``release`` does not run on, on the host ``name``."""
    if is_series(python) and not fits(python, requires):
        raise SettingsError(
            f"{name}: Prefect {release} does not run on Python {python} (requires {requires})",
            "set python: to a series in that range, or remove it",
            where,
        )


def suffix(python: str) -> str:
    """The part of an environment's name for a chosen Python: ``-py3.11``."""
    if is_series(python):
        return f"-py{python}"
    return "-" + re.sub(r"[^A-Za-z0-9.]+", "_", python).strip("_") if python else ""


def brought_to(uv_root: str, python: str) -> str:
    """Where uv puts the Python of a series: beside itself. Empty where none is asked for."""
    return f"{uv_root.rpartition('/')[0]}/python" if is_series(python) else ""


def older(release: str) -> str:
    """The releases for hosts whose Pythons are all older than ``release`` runs on, as a sentence; empty for none."""
    found = [f"Prefect {last} on Python {python}" for since, python, last in LAST_WITH if versions.has(release, since)]
    return ", ".join(found)
