"""The agent's compiled sources, kept in /run (memory) until the host's next boot.

Later runs as root then neither send nor compile them again. Stage 0 (``encamp.agent.boot``) reads what this writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
from typing import Any

#: How many sets of sources are kept: tasks and roles need different ones.
KEEP = 4


def keep(importer: Any) -> None:
    """Keep the sources of stage 0's ``importer``, if this run was sent some. Errors of the file system are ignored.

    What was asked for late is kept with the rest, so that no later run asks for it. Programs that a kind installs
    unchanged (``#!``) stay sources.
    """
    if not importer.new or os.geteuid() != 0:
        return
    modules = {
        name: (is_package, source if _stays(source) else marshal.dumps(importer.code(name)))
        for name, (is_package, source) in importer.src.items()
    }
    with contextlib.suppress(OSError):
        _write(importer.at, importer.name, marshal.dumps(modules))


def _stays(source: Any) -> bool:
    """Whether it is kept as it is: a program, or what an earlier run has compiled."""
    return not isinstance(source, str) or source.startswith("#!")


def _write(directory: str, name: str, body: bytes) -> None:
    """Write a file atomically into a directory that only root can enter. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    folder = os.open(directory, os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(folder)
        if status.st_uid != 0 or status.st_mode & 0o077:
            return
        candidate = f".new-{os.getpid()}"
        handle = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        with open(handle, "wb") as stream:
            stream.write(hashlib.sha256(name.encode() + body).digest() + body)
        os.rename(candidate, name, src_dir_fd=folder, dst_dir_fd=folder)
        _forget_old(folder)
    finally:
        os.close(folder)


def _forget_old(folder: int) -> None:
    by_age = sorted(os.listdir(folder), key=lambda name: os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime)
    for name in by_age[:-KEEP]:
        os.unlink(name, dir_fd=folder)
