# Managed by encamp: changes made here are undone by the next deploy.
"""What is backed up, and where: the configuration that a deploy writes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Dict, List

#: Copied by hand into every file that encamp writes; JSON has no comments, so it is skipped here.
MARK = "#"


class Failed(Exception):
    """Something went wrong; the text says what was seen. ``detail``: the last lines of a program's output."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@dataclass
class Job:
    """One database and its backups.

    ``name``: the job's, and the folder of its backups below ``directory``. ``kind``: postgres or sqlite. ``database``,
    ``owner`` (its role), ``cluster`` and ``port``: of Postgres on this host. ``path``, ``user``, ``group``: SQLite's
    file and its service's account. ``release``: of Prefect; ``link``: the server's environment where it runs on this
    host, ``env_file``: its settings, of which only the names are recorded. ``keep``: backups to keep, the newest;
    ``keep_days``: those that are younger are kept, too. ``encamp``: its version. ``host``: its name in the inventory.
    ``no_services``: the release can be started without its services. ``copy_command`` sends a backup to ``copy_host``;
    ``command`` gets one on its standard input, with ``environment`` (which may hold secrets).
    """

    name: str
    kind: str
    directory: str
    database: str = ""
    owner: str = ""
    cluster: str = ""
    port: int = 5432
    path: str = ""
    user: str = ""
    group: str = ""
    release: str = ""
    link: str = ""
    env_file: str = ""
    keep: int = 7
    keep_days: int = 0
    encamp: str = ""
    host: str = ""
    copy_host: str = ""
    copy_command: List[str] = field(default_factory=list)
    no_services: bool = False
    command: List[str] = field(default_factory=list)
    environment: Dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where this job's backups are, one folder each."""
        return os.path.join(self.directory, self.name)

    @property
    def present_release(self) -> str:
        """The release of Prefect that the link chooses now; what the deploy said where the server is elsewhere."""
        try:
            return os.path.basename(os.readlink(self.link)).partition("-")[0] if self.link else self.release
        except OSError:
            return self.release


def read_job(path: str) -> Job:
    """The job that a configuration file describes. Raises Failed."""
    try:
        with open(path, encoding="utf-8") as file:
            text = "".join(line for line in file if not line.startswith(MARK))
        return Job(**json.loads(text))
    except (OSError, ValueError, TypeError) as error:
        raise Failed(f"{path} cannot be read: {error}") from None
