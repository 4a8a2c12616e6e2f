"""Free space: only what remains to be done is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from encamp.resources.base import Refused
from encamp.resources.probes.expectation import MEBIBYTE, Expectation
from tests.unit.resources.case_host import CaseHost

THERE, SLACK = 200, 100


def free(path: Path) -> int:
    usage = os.statvfs(path)
    return usage.f_bavail * usage.f_frsize // MEBIBYTE


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A directory that an interrupted run has filled with 200 MiB, the file under two names, as uv's links."""
    folder = tmp_path / "envs" / "lib"
    folder.mkdir(parents=True)
    with (folder / "big").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, THERE * MEBIBYTE)
    (folder / "again").hardlink_to(folder / "big")
    return tmp_path / "envs"


def expect(folder: Path, need: int, **fields: Any) -> None:
    Expectation("host", disk=((str(folder / "new"), need),), **fields).check(CaseHost({}))


def test_what_an_interrupted_run_has_written_counts(filled: Path) -> None:
    need = free(filled) + SLACK
    with pytest.raises(Refused, match=f"{need} MiB required$"):
        expect(filled, need)
    expect(filled, need, filled=(str(filled),))
    with pytest.raises(Refused, match="MiB required, of which 200 MiB are there"):
        expect(filled, need + 3 * SLACK, filled=(str(filled),))


def test_nothing_is_measured_where_all_is_there(filled: Path) -> None:
    need = free(filled) + 10_000
    with pytest.raises(Refused):
        expect(filled, need, unless=(f"{filled}/*/none",))
    expect(filled, need, unless=(f"{filled}/none", f"{filled}/*/big"))
