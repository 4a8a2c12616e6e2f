"""The options that tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from encamp.output import history
from encamp.planning.rollout import ALL_AT_ONCE, Mode, Rollout
from encamp.planning.templates import Templates, templates_of
from encamp.shared.record import record

if TYPE_CHECKING:
    import fabric


@record
class Options:
    """The options that tasks share. ``hosts`` is the text of ``-H``; empty: the task's own group.

    ``inventory`` is what ``--inventory`` names, once or several times. ``instance`` limits a task to the instance of
    that name; empty: all. Of the hosts only those that ``limit`` names take part, and with ``retry`` only those that
    did not end well last time. ``wait``: seconds for a host's lock.
    ``home``: the folder of the fabfile, with what belongs to the site; empty: the current folder.
    ``rotating``: the secret whose change has this run as a step; ``append``: and an earlier step began the files.
    """

    config: fabric.Config
    hosts: str = ""
    inventory: str | Sequence[str] = ()
    check: bool = False
    diff: bool = False
    want_exit_code: bool = False
    overrides: Sequence[str] = ()
    json_file: str = ""
    append: bool = False
    junit_file: str = ""
    verbose: bool = False
    forks: int = 10
    instance: str = ""
    limit: str = ""
    retry: bool = False
    rollout: Rollout = ALL_AT_ONCE
    wait: int = 0
    rotating: str = ""
    home: str = ""

    @property
    def mode(self) -> Mode:
        return Mode(self.check, self.diff, self.forks, self.rollout, self.wait)

    @property
    def records(self) -> Path:
        """The folder that keeps the records of runs."""
        return Path(self.home, history.FOLDER)

    @property
    def templates(self) -> Templates:
        """The site's own templates before those of encamp."""
        return templates_of(Path(self.home))
