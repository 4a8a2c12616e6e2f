"""Installing with dnf, without prompts: sent to a host that lacks a package."""

from __future__ import annotations

import re
from typing import Mapping, Sequence, Union

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.packages import locks
from encamp.resources.system import System
from encamp.shared.record import factory, record
from encamp.shared.secret import Secret

#: Seconds that dnf gets.
INSTALL_SECONDS = 1800
#: exit_on_lock: we wait ourselves, and say for whom.
DNF = ("dnf", "-y", "--setopt=install_weak_deps=False", "--setopt=retries=3", "--setopt=exit_on_lock=True", "install")
#: What dnf prints about a source that it could not use. It may go on without it, and lack packages then.
COMPLAINT = re.compile(r"- (?:Curl error|Status code)|Failed to download metadata")


@record
class Installation:
    """An installation of ``names``.

    ``patience``: seconds to wait for cloud-init, and for dnf's lock where another process holds it. ``proxy``:
    variables for dnf; its own configuration goes before them.
    """

    host: System
    names: Sequence[str]
    patience: float
    proxy: Mapping[str, Union[str, Secret]] = factory(dict)

    def run(self) -> None:
        """Install with one command. Raises Failure."""
        locks.await_cloud_init(self.host, self.patience)
        self.host.progress(f"installing {', '.join(self.names)}")
        held_by = ""

        def attempt() -> str:
            """What dnf printed while another process held its lock; empty once it has installed."""
            nonlocal held_by
            try:
                self.host.run([*DNF, *self.names], env=self.proxy, timeout=INSTALL_SECONDS)
                return ""
            except CommandFailed as error:
                output = error.result.out + error.result.err
                if not locks.is_locked(output):
                    raise self._explained(error) from error
                held_by, last[:] = locks.holder(self.host, output) or held_by, [error]
            self.host.progress(f"waiting for another package manager to finish: {held_by or 'unknown process'}")
            return output

        last: list[CommandFailed] = []
        if self.host.wait_for(attempt, self.patience, done=lambda output: not output, every=3):
            raise self._explained(last[0], held_by)

    def _explained(self, error: CommandFailed, held_by: str = "") -> Failure:
        from encamp.resources.packages.errors import explained

        lines = (error.result.out + error.result.err).splitlines()
        return explained(error, self.names, [line.strip() for line in lines if COMPLAINT.search(line)], held_by)
