"""Where a profiles file really lies, and what is in it."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator, Optional

from encamp.resources.base import Refused
from encamp.resources.system import Reader
from encamp.shared.record import record
from roles.client.kinds.profile.edit import InvalidToml

MAX_LINKS = 10


@record
class ProfileFile:
    """The file as it is: ``path`` is where it really lies (links followed), ``data`` None where there is none.

    ``mode`` is None where there is no file, or files have none. ``owner`` and ``group`` are empty where they need no
    thought: a plain user can only write files of its own.
    """

    path: str
    data: Optional[bytes]
    mode: Optional[int]
    owner: str = ""
    group: str = ""

    @property
    def text(self) -> str:
        """The content. Raises Refused when it is not UTF-8, as TOML must be."""
        try:
            return (self.data or b"").decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(f"{self.path} is not UTF-8: {error}", fix="save it as UTF-8; nothing was changed") from error


def find(host: Reader, path: str) -> ProfileFile:
    """The file that ``path`` leads to. Raises Refused for what is neither a file, nor a link to one, nor absent."""
    for _ in range(MAX_LINKS):
        found = host.stat(path)
        if found is None:
            return ProfileFile(path, None, None)
        if found.kind == "file":
            owner, group = (found.owner, found.group) if host.is_root else ("", "")
            return ProfileFile(path, host.read(path), found.mode if host.has_modes else None, owner, group)
        if found.kind != "symlink":
            raise Refused(f"{path} is a {found.kind}, not a file", fix="move it away")
        path = os.path.normpath(os.path.join(os.path.dirname(path), found.target))
    raise Refused(f"{path}: too many levels of symbolic links", fix="replace the link with a regular file")


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Turn TOML that cannot be used into a refusal that names the place."""
    try:
        yield
    except InvalidToml as error:
        place = f"{path}:{error.line}:{error.column}" if error.line else path
        raise Refused(
            f"{place}: {error}",
            "the profiles file is invalid; Prefect cannot read it either",
            "correct that line, or move the file elsewhere; nothing was changed",
        ) from error
