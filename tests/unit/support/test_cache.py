"""The controller's cache: what was damaged since is not believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.support import cache


@pytest.mark.parametrize("data", [b"", b"some text"])
def test_what_was_kept_is_found(tmp_path: Path, data: bytes) -> None:
    cache.write("name", data, tmp_path)
    assert cache.read("name", tmp_path) == data
    assert cache.read("other", tmp_path) is None


@pytest.mark.parametrize("left", [0, 10, 40])
def test_what_a_crash_cut_short_counts_as_lost(tmp_path: Path, left: int) -> None:
    """Half a unit file out of the cache would be deployed."""
    cache.write("name", b"[Service]\nUser=prefect\n", tmp_path)
    file = tmp_path / "name"
    file.write_bytes(file.read_bytes()[:left])
    assert cache.read("name", tmp_path) is None


def test_a_place_that_keeps_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache.write("name", b"data", tmp_path / "file" / "cache")
    assert cache.read("name", tmp_path / "file" / "cache") is None
