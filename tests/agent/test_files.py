"""Files of the host in places where others may write: root is not led elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from encamp.agent import files
from encamp.resources.base import Failure


def test_a_link_in_the_place_of_a_new_directory_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parent's owner may rename what was just made, and put a link there."""
    victim, path = tmp_path / "victim", str(tmp_path / "new")
    victim.mkdir(mode=0o755)
    monkeypatch.setattr(os, "mkdir", lambda path, mode: os.symlink(victim, path))
    with pytest.raises(Failure):
        files.make_directory(path, "", "", 0o700)
    assert victim.stat().st_mode & 0o777 == 0o755


def test_a_link_to_a_directory_that_was_there_is_followed(tmp_path: Path) -> None:
    """As an owner may have moved it to another disk."""
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(there)
    files.make_directory(str(tmp_path / "link"), "", "", 0o750)
    assert there.stat().st_mode & 0o777 == 0o750


def test_parents_are_open_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.make_directory(str(tmp_path / "a/b"), "", "", 0o700)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o755, 0o700]
