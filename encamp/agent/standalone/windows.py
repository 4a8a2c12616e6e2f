"""Windows as a host: files without owner, group or mode, and no commands."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import Optional, Sequence, Union

from encamp.agent import files
from encamp.agent.system import Host
from encamp.resources.system import Stat
from encamp.shared.secret import Secret

#: Seconds between the tries to replace a file: virus scanners and indexers open new files for a moment.
PAUSES = (0.1, 0.3, 1.0)


class WindowsHost(Host):
    """This machine where it runs Windows. What a home holds is for its user only, by Windows' own defaults."""

    @property
    def is_root(self) -> bool:
        return False

    @property
    def has_modes(self) -> bool:
        return False

    @property
    def home(self) -> str:
        return os.path.expanduser("~")

    def stat(self, path: str) -> Optional[Stat]:
        try:
            status = os.lstat(path)
            kind = next((name for test, name in files.KINDS if test(status.st_mode)), "other")
            target = os.readlink(path) if kind == "symlink" else ""
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stat(kind, 0, "", "", status.st_size, status.st_mtime, target)

    def which(self, program: str) -> Optional[str]:
        return shutil.which(program)

    def write(
        self,
        path: str,
        data: Union[bytes, str, Secret],
        owner: str = "",
        group: str = "",
        mode: int = 0o644,
        validate: Sequence[str] = (),
    ) -> None:
        self.forget()
        content = data.reveal() if isinstance(data, Secret) else data
        candidate = files.candidate_of(path)
        with files.explained(path):
            try:
                with open(candidate, "wb") as stream:
                    stream.write(content.encode() if isinstance(content, str) else content)
                    stream.flush()
                    os.fsync(stream.fileno())
                _replace(candidate, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(candidate)
                raise

    def mkdir(self, path: str, owner: str = "", group: str = "", mode: int = 0o755) -> None:
        self.forget()
        with files.explained(path):
            os.makedirs(path, exist_ok=True)


def _replace(candidate: str, path: str) -> None:
    """Rename over a file that another program may have open for a moment. Raises OSError."""
    for pause in PAUSES:
        try:
            return os.replace(candidate, path)
        except PermissionError:
            time.sleep(pause)
    os.replace(candidate, path)
