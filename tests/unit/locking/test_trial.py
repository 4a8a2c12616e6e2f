"""A lock is tried when it is made: by the real uv, with a release whose dependency has moved on."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from encamp.locking import lockfile
from encamp.locking.lockfile import Lock, LockError
from encamp.locking.package_index import IndexConfig
from encamp.locking.trial import try_lock
from encamp.resources.python.environment import only
from tests.unit.local_index import LocalIndex, serving, wheel

#: A server as old releases are: what it needs of a dependency is gone from the next version of that.
SERVER = {"prefect.py": "import part\n\ndef create_app():\n    return part.VALIDATOR\n"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalIndex]:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with serving(LocalIndex()) as running:
        prefect = wheel("prefect", "9.1.0", SERVER, requires="part")
        running.add("prefect-9.1.0-py3-none-any.whl", prefect, "2026-03-01T12:00:00Z", ">=3.9")
        old = wheel("part", "1.0", {"part.py": "VALIDATOR = 1\n"})
        running.add("part-1.0-py3-none-any.whl", old, "2026-01-01T00:00:00Z")
        running.add("part-2.0-py3-none-any.whl", wheel("part", "2.0"), "2026-04-01T00:00:00Z")
        yield running


def made(index: LocalIndex, directory: Path, date: str | None = None, build: tuple[str, ...] = ()) -> Lock:
    lockfile.make("9.1.0", directory, date, IndexConfig(index.url), build=build)
    return lockfile.load("9.1.0", directory)


def imported(lock: Lock, programs: Path, place: Path) -> str:
    """A proof as simple as the release: its server can be made, in a directory to work in."""
    argv = [programs / "python", "-c", "import prefect; prefect.create_app()"]
    done = subprocess.run(argv, cwd=place, capture_output=True, text=True)
    if done.returncode:
        raise LockError(f"{lock.version} does not start: {done.stderr}", "another day")
    return "it starts"


def test_a_release_with_the_dependencies_of_its_day_is_proven_in_its_own_environment(
    index: LocalIndex, tmp_path: Path
) -> None:
    lock = made(index, tmp_path / "locks")
    assert try_lock(lock, ">=3.9", imported, IndexConfig(index.url)).endswith(": it starts")


def test_one_with_later_dependencies_is_refused_by_its_proof(index: LocalIndex, tmp_path: Path) -> None:
    lock = made(index, tmp_path / "locks", "2026-05-01")
    with pytest.raises(LockError, match="no attribute 'VALIDATOR'"):
        try_lock(lock, ">=3.9", imported, IndexConfig(index.url))


def test_a_python_that_does_not_suit_the_release_is_told(index: LocalIndex, tmp_path: Path) -> None:
    assert "not tested" in try_lock(made(index, tmp_path / "locks"), ">=3.99", imported, IndexConfig(index.url))


def test_build_tools_are_locked_named_and_found_again(index: LocalIndex, tmp_path: Path) -> None:
    digest = index.add("tool-2.0-py3-none-any.whl", wheel("tool", "2.0"), "2026-01-01T00:00:00Z")
    lock = made(index, tmp_path / "locks", build=("tool",))
    assert lock.build == ("tool",)
    part = only(lock.text, lock.build)
    assert part.split() == ["tool==2.0", "\\", f"--hash=sha256:{digest}"]
    assert hashlib.sha256(index.files["tool-2.0-py3-none-any.whl"]).hexdigest() == digest
