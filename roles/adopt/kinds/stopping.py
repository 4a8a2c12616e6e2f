"""Stops a hand-made server, for good and reversibly: what keeps it running is told not to, nothing is deleted.

Every step may be repeated, so that a takeover that was cut off goes on where it was.
"""

from __future__ import annotations

import os
import re
import signal
from typing import Sequence

from encamp.resources.base import Failure, Refused
from encamp.resources.system import System
from encamp.resources.systemd.unit_state import unit_state
from roles.adopt.kinds.adoption import Adoption
from roles.adopt.kinds.keeper import CONTAINER, SESSION, UNIT, USER_UNIT, read_text
from roles.adopt.kinds.processes import SERVER, SERVICES, port_of, prefect_processes
from roles.adopt.kinds.user_manager import has_manager, user_systemctl

DISABLED = "# continued by encamp, see `fab adopt --undo`: "
#: A unit's dependents may start it; a condition that never holds keeps it from running, and does not fail them.
_GUARD = """# Written by encamp, which continues this server. `fab adopt --undo` removes this file and starts it again.
[Unit]
ConditionPathExists=/nonexistent/encamp-continues-this-server
"""
_SECONDS = 40.0


def stop(host: System, adoption: Adoption, port: int) -> None:
    """Stop it, and see that it stays so. Raises Failure."""
    if adoption.kind == UNIT:
        if unit_state(host, adoption.unit).exists:  # an interrupted takeover may have moved its file already
            host.run(["systemctl", "disable", "--quiet", "--", adoption.unit])
            host.run(["systemctl", "stop", "--", adoption.unit], timeout=120)
        for path in adoption.moved:
            host.remove(path)
        _guard(host, adoption.guard)
        host.run(["systemctl", "daemon-reload"])
    elif adoption.kind == USER_UNIT:
        if has_manager(host, adoption.user):
            user_systemctl(host, adoption.user, "disable", "--now", adoption.unit)
        _guard_of_user(host, adoption.guard, adoption.user)
        if has_manager(host, adoption.user):
            user_systemctl(host, adoption.user, "daemon-reload")
    elif adoption.kind == CONTAINER:
        for name in adoption.containers:
            host.run(["docker", "update", "--restart=no", name])
            host.run(["docker", "stop", "-t", "30", name], timeout=120)
    else:
        _comment_out(host, adoption)
        _end_processes(host, adoption, port)
    _require_free(host, port)


def _guard(host: System, path: str) -> None:
    if path:
        host.mkdir(os.path.dirname(path), "root", "")
        host.write(path, _GUARD, "root", "", 0o644)


def _guard_of_user(host: System, path: str, user: str) -> None:
    """In a folder of the user's: written with the user's rights, wherever its links lead."""
    script = 'mkdir -p "${1%/*}" && cat > "$1"'
    host.run(["sh", "-c", script, "guard", path], stdin=_GUARD, as_user=user)


def _comment_out(host: System, adoption: Adoption) -> None:
    """Turn the lines that start it into comments, wherever in their files they stand by now."""
    for place, line in adoption.boot.items():
        path = place.rpartition(":")[0]
        lines = read_text(host, path).split("\n")
        stat = host.stat(path)
        if stat and line in lines:
            text = "\n".join(DISABLED + line if each == line else each for each in lines)
            host.write(path, text, stat.owner, stat.group, stat.mode)


def _end_processes(host: System, adoption: Adoption, port: int) -> None:
    """SIGTERM, as `kill` sends it; after a while SIGKILL. Raises Refused where it is not clear which are meant."""
    targets = _targets(host, adoption, port)
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for pid in targets:
            if host.stat(f"/proc/{pid}"):
                host.query(["kill", f"-{sent.value}", str(pid)])
        if not host.wait_for(lambda: _left(host, targets), _SECONDS, lambda left: not left):
            break
    host.wait_for(lambda: False, 3)  # what a loop in a script, or a supervisor, starts again is there by then


def _targets(host: System, adoption: Adoption, port: int) -> Sequence[int]:
    """The processes of the server on ``port`` that no unit or container keeps, and its user's separate services."""
    own = [each for each in prefect_processes(host) if each.user == adoption.user and each.keeper.kind == SESSION]
    servers = [each for each in own if each.job == SERVER]
    found = [each for each in servers if port_of(each) == port]
    if not found and len({each.keeper.key for each in servers}) > 1:
        raise Refused(
            f"{adoption.user} runs several servers; none names port {port} in its command line or environment",
            fix=f"stop the one that listens on port {port}, then deploy again",
        )
    return [each.pid for each in [*(found or servers), *(each for each in own if each.job == SERVICES)]]


def _left(host: System, pids: Sequence[int]) -> list[int]:
    """Those that still run."""
    alive = {each.pid for each in prefect_processes(host)}
    return [pid for pid in pids if pid in alive]


def _require_free(host: System, port: int) -> None:
    """Wait until nothing listens on its port. Raises Failure."""

    def listening() -> bool:
        tables = read_text(host, "/proc/net/tcp") + read_text(host, "/proc/net/tcp6")
        return re.search(rf"^\s*\d+: [0-9A-F]+:{port:04X} [0-9A-F:]+ 0A ", tables, re.MULTILINE) is not None

    if host.wait_for(listening, _SECONDS, lambda busy: not busy):
        raise Failure(
            f"something listens on port {port} after the old server was stopped",
            "a loop in a script, or a supervisor, started it again; or another program uses the port",
            f"`ss -ltnp sport = :{port}` shows what it is",
        )
