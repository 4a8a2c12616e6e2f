"""Units of workers and agents that are declared no more."""

from __future__ import annotations

import re
from typing import Optional, Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.ownership import is_marked, is_own_file
from encamp.resources.system import Reader, System
from encamp.resources.systemd.halted import DRAINED, clear
from encamp.resources.systemd.owners import DIRECTORY, name_kept
from encamp.resources.systemd.unit_state import unit_state
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import Api
from roles.worker.kinds import runs as worker_runs

NAME = re.compile(r"prefect-(worker|agent)-.+\.service")
SLACK = 60.0
#: What a private key's file ends in: it cannot have encamp's mark.
KEY = ".key"


@kind
class StaleWorkers(Resource):
    """No workers and agents of an instance but those that are declared. Every other one finishes its flow runs first.

    ``instance``: its name. ``env_file``: the settings that all its units read. ``keep``: the units that are declared.
    ``files``: the environment files and links below ``folders`` that are declared; others whose names begin with
    ``prefixes`` are removed. ``api_url`` ends in ``/api``; ``auth`` is ``user:password`` where the server requires it.
    Units, drop-ins and files that encamp did not write are kept, and notes name those drop-ins.
    """

    instance: str
    env_file: str
    keep: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    api_url: str = ""
    auth: Optional[Secret] = None
    ca_file: str = ""

    def check(self, host: Reader) -> list[Change]:
        stale = self._units(host)
        for name in stale:
            name_kept(host, name)
        units = [Change(name, str(unit_state(host, name)), "removed") for name in stale]
        return units + [Change(path, "present", "removed") for path in self._leftovers(host)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        stale = self._units(host)
        for name in stale:
            host.query(["systemctl", "disable", "--", name])
            host.run(["systemctl", "stop", "--no-block", "--", name])
        for name in stale:
            self._await(host, name)
            host.remove(f"{DIRECTORY}/{name}")
            clear(host, name, DRAINED)
        for path in self._leftovers(host):
            host.remove(path)
        if stale:
            host.run(["systemctl", "daemon-reload"])

    def _await(self, host: System, name: str) -> None:
        """Wait until a unit is down: its flow runs have ended, or its stop time-out has struck."""
        if host.wait_for(lambda: unit_state(host, name).stopped, 3):
            return
        runs = worker_runs.running(host, name)
        if runs:
            named = worker_runs.named(host, Api(self.api_url, self.auth, self.ca_file), runs)
            host.note(f"{name} waits for its flow runs to finish before it is removed: {worker_runs.listed(named)}")
        limit = self._stop_timeout(host, name) + SLACK
        host.progress(f"waiting for {name} to stop; at most {limit:.0f} s")
        if not host.wait_for(lambda: unit_state(host, name).stopped, limit, every=1.0):
            raise Failure(f"{name} is still stopping after {limit:.0f} s", fix=f"systemctl status {name}")

    def _stop_timeout(self, host: Reader, name: str) -> float:
        found = re.search(rb"^TimeoutStopSec=(\d+)$", host.read(f"{DIRECTORY}/{name}") or b"", re.MULTILINE)
        return float(found[1]) if found else 90.0

    def _units(self, host: Reader) -> list[str]:
        names = [name for name in host.listdir(DIRECTORY) if NAME.fullmatch(name) and name not in self.keep]
        return [name for name in names if self._is_ours(host.read(f"{DIRECTORY}/{name}") or b"")]

    def _is_ours(self, text: bytes) -> bool:
        return is_marked(text) and f"\nEnvironmentFile={self.env_file}\n".encode() in text

    def _leftovers(self, host: Reader) -> list[str]:
        """Environment files of workers, and links to their environments, that nothing uses any more."""
        found = []
        for prefix in self.prefixes:
            folder, _, beginning = prefix.rpartition("/")
            found += [f"{folder}/{name}" for name in host.listdir(folder) if name.startswith(beginning)]
        return [path for path in found if path not in self.files and _made_by_encamp(host, path)]


def _made_by_encamp(host: Reader, path: str) -> bool:
    """Whether a leftover is a link, as to an environment, an environment, a key, or a file that encamp wrote."""
    stat = host.stat(path)
    if stat is None or stat.kind != "file":
        return stat is not None and (stat.kind == "symlink" or host.stat(f"{path}/pyvenv.cfg") is not None)
    return path.endswith(KEY) or is_own_file(host, path)
