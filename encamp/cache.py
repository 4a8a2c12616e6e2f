"""A cache of what is costly to work out and sure to be the same again. Losing it costs time and nothing else."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

KEEP = 100
DIRECTORY = Path(__file__).resolve().parent.parent / ".encamp" / "cache"


def read(name: str, directory: Path = DIRECTORY) -> bytes | None:
    """What was kept under ``name``; None without it."""
    try:
        return (directory / name).read_bytes()
    except OSError:
        return None


def write(name: str, data: bytes, directory: Path = DIRECTORY) -> None:
    """Keep ``data`` under ``name``, whole or not at all. A directory that cannot be written to keeps nothing."""
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        handle, candidate = tempfile.mkstemp(dir=directory)
        with open(handle, "wb") as stream:
            stream.write(data)
        os.replace(candidate, directory / name)
        by_age = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in by_age[:-KEEP]:
            path.unlink()
