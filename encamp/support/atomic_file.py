"""Files that are there whole or not at all: written beside their place, then put into it."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile


def check(path: str) -> str:
    """The file that ``path`` means, symbolic links followed.

    Raises OSError for what must not be replaced by a file: a folder, a device such as /dev/null, a pipe.
    """
    place = os.path.realpath(path)
    if os.path.exists(place) and not stat.S_ISREG(os.stat(place).st_mode):
        raise OSError(0, "not a regular file", path)
    return place


def write(path: str, data: bytes, mode: int) -> None:
    """Replace a file by one that is complete. Raises OSError, and leaves nothing half written."""
    place = check(path)
    handle, candidate = tempfile.mkstemp(dir=os.path.dirname(place), prefix=f".{os.path.basename(place)[:100]}-")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            os.fchmod(handle, mode)
        os.replace(candidate, place)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(candidate)
        raise
