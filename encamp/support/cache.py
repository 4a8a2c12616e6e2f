"""A cache of what is costly to work out and sure to be the same again. Losing it costs time and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from encamp.support.checkout import CHECKOUT

KEEP = 100
_DIGEST_SIZE = hashlib.sha256().digest_size


def _directory() -> Path:
    """In a checkout, or else where the user's caches are (https://specifications.freedesktop.org/basedir-spec)."""
    if CHECKOUT:
        return CHECKOUT / ".encamp" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "encamp")


DIRECTORY = _directory()


def read(name: str, directory: Path = DIRECTORY) -> bytes | None:
    """What was kept under ``name``; None without it, and where it is not as it was written (a crash, a full disk)."""
    try:
        kept = (directory / name).read_bytes()
    except OSError:
        return None
    digest, data = kept[:_DIGEST_SIZE], kept[_DIGEST_SIZE:]
    return data if hashlib.sha256(data).digest() == digest else None


def write(name: str, data: bytes, directory: Path = DIRECTORY) -> None:
    """Keep ``data`` under ``name``, whole or not at all. A directory that cannot be written to keeps nothing."""
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        handle, candidate = tempfile.mkstemp(dir=directory)
        with open(handle, "wb") as stream:
            stream.write(hashlib.sha256(data).digest() + data)
        os.replace(candidate, directory / name)
        by_age = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in by_age[:-KEEP]:
            path.unlink()
