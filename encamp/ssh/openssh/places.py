"""Where the files of a connection of ``ssh`` are: its log, and the helper that answers its questions."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from encamp.errors import Unreachable


def folder() -> Path:
    """A new folder of this user alone, from which programs may run: ssh starts the helper there, and a hardened /tmp is
    mounted noexec. Raises Unreachable."""
    tried = list(_candidates())
    for place in tried:
        with contextlib.suppress(OSError):
            if not os.statvfs(place).f_flag & os.ST_NOEXEC:
                return Path(tempfile.mkdtemp(prefix="encamp-ssh-", dir=place))
    raise Unreachable(
        f"no program can run from {', '.join(tried)} (missing, full, or mounted noexec); ssh needs one to ask for a "
        "password or a code",
        "set TMPDIR to a folder from which programs may run",
    )


def _candidates() -> Iterator[str]:
    """The usual folder for such files, then folders of the user's own. A socket's path is 108 letters at most."""
    yield tempfile.gettempdir()
    yield os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    yield os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    yield os.path.expanduser("~")
