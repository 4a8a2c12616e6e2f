"""The trial of a lock, with real releases from the index: their own servers run flows before a lock is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.locking import lockfile
from encamp.locking.lockfile import LockError
from encamp.locking.package_index import controller_index
from encamp.locking.trial import try_lock
from roles.prefect import release, versions
from roles.proof import trial
from roles.proof.trial import prove

DEFAULT = release.Settings().prefect_version


def tried(version: str, directory: Path) -> str:
    lock = lockfile.load(version, directory)
    return try_lock(lock, versions.python_range(version, lock.requires_python), prove, controller_index())


def test_a_lock_with_which_no_schedule_makes_a_flow_run_is_refused(tmp_path: Path) -> None:
    """The lock of 3.8.8 that its date alone gives: its server starts, and flows run on it."""
    path = lockfile.make("3.8.8", tmp_path)
    assert "\nsqlalchemy==2.1.4 ; python_full_version >= '3.11'" in path.read_text("utf-8")
    with pytest.raises(LockError, match="the server created no flow run from a schedule within 30 s") as error:
        tried("3.8.8", tmp_path)
    assert "SQLAlchemy 2.1" in error.value.message and "Can't evaluate bulk DML statement" in error.value.message


def test_one_whose_server_does_not_start_is_refused_with_its_last_words(tmp_path: Path) -> None:
    lockfile.make("2.7.12", tmp_path, "2024-01-15", build=versions.build_tools("2.7.12"))
    with pytest.raises(LockError, match="with its dependencies as of 2024-01-15: its server does not start") as error:
        tried("2.7.12", tmp_path)
    assert "SecretField" in error.value.message and "--exclude-newer" in error.value.fix


def test_a_scheduler_that_looks_only_at_new_deployments_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its round over all deployments comes too late here; its quick loop makes first runs all the same."""
    monkeypatch.setattr(trial, "ROUND", "600")
    monkeypatch.setattr(trial, "ROUNDS_PATIENCE", 10.0)
    with pytest.raises(LockError, match="the server's scheduler did not look at all deployments within 10 s"):
        tried(DEFAULT, release.LOCKS)


@pytest.mark.parametrize("version", [DEFAULT, "3.8.8"])
def test_a_shipped_lock_is_good(version: str) -> None:
    told = tried(version, release.LOCKS)
    assert told.endswith("flows run on its server, by themselves and from schedules, and events trigger automations")
