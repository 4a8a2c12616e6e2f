"""``fab lock``: make a dated, hashed lock of a Prefect release, alone or with further packages for workers."""

from __future__ import annotations

import datetime
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from encamp.cli.options import Options
from encamp.errors import UsageError
from encamp.inventory import location
from encamp.locking import lockfile, trial
from encamp.locking.package_index import controller_index
from encamp.support import atomic_file
from encamp.support.checkout import CHECKOUT
from roles.prefect import bounds, versions
from roles.prefect.release import LOCKS, site_locks
from roles.proof import trial as proof_trial


def lock(options: Options, version: str, exclude_newer: str = "", packages: Sequence[str] = ()) -> int:
    """Resolve ``version`` as of its own date (or ``exclude_newer``), with further ``packages``. Raises EncampError."""
    if exclude_newer and not _is_date(exclude_newer):
        raise UsageError(f"--exclude-newer {exclude_newer}: expected a date such as 2026-10-30")
    if re.match(r"[01]\.", version):
        raise UsageError(f"--prefect {version}: older than {versions.SUPPORTED_SINCE}, the oldest that encamp deploys")
    folder = folder_of(options, packages)
    path, made, note = _tried(version, folder, exclude_newer, packages)
    more = f" with {', '.join(made.packages)}" if made.packages else ""
    print(f"{path}: prefect {made.version}{more}, resolved as of {made.date}, Python {made.requires_python}")
    print(note)
    return 0


def folder_of(options: Options, packages: Sequence[str]) -> Path:
    """Where a lock goes: locks/ beside the inventory; of a release alone that is made in a checkout, to its others."""
    if not packages and CHECKOUT and Path(options.home).resolve() == CHECKOUT:
        return LOCKS
    return site_locks(str(location.folder_of(location.locate(options.inventory, options.home), options.home)))


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _tried(version: str, folder: Path, exclude_newer: str, packages: Sequence[str]) -> tuple[Path, lockfile.Lock, str]:
    """Make a lock, see whether the release starts with it, and only then put it where deploys find it."""
    with tempfile.TemporaryDirectory() as place:
        made = lockfile.make(
            *(version, Path(place), exclude_newer or None),
            packages=packages,
            build=versions.build_tools(version),
            bounds=[bound.requirement for bound in bounds.of(version)],
        )
        lock = lockfile.load(version, Path(place), packages)
        requires = versions.python_range(version, lock.requires_python)
        note = trial.try_lock(lock, requires, proof_trial.prove, controller_index())
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / made.name
        atomic_file.write(str(path), made.read_bytes(), 0o644)
    return path, lock, note
