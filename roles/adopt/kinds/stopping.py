"""Stops a hand-made server, for good and reversibly: what keeps it running is told not to, nothing is deleted."""

from __future__ import annotations

import os
import pwd
import re
import signal
from typing import Sequence

from encamp.resources.base import Failure, Refused
from encamp.resources.docker import api as docker
from encamp.resources.system import System
from encamp.resources.systemd.unit_state import unit_state
from encamp.shared.record import replace
from roles.adopt.kinds import boot_lines
from roles.adopt.kinds.adoption import Adoption, Places
from roles.adopt.kinds.found import FoundServer
from roles.adopt.kinds.keeper import CONTAINER, SESSION, UNIT, USER_UNIT, read_text
from roles.adopt.kinds.processes import SERVER, SERVICES, port_of, prefect_processes

DISABLED = "# continued by encamp, see `fab adopt --undo`: "
_SYSTEM = "/etc/systemd/system"
#: A unit's dependents may start it; a condition that never holds keeps it from running, and does not fail them.
_GUARD = """# Written by encamp, which continues this server. `fab adopt --undo` removes this file and starts it again.
[Unit]
ConditionPathExists=/nonexistent/encamp-continues-this-server
"""
_SECONDS = 40.0


def planned(host: System, found: FoundServer, new_unit: str, instance: str) -> Adoption:
    """What the way back from stopping ``found`` needs. Changes nothing."""
    keeper = found.process.keeper
    unit = keeper.name if found.kind in (UNIT, USER_UNIT) else ""
    basis = Adoption(found.name, found.kind, found.process.user, unit, new_unit, running=found.running)
    if found.kind == UNIT:
        basis = replace(basis, enabled=unit_state(host, unit).enabled)
        if unit == new_unit:
            return replace(basis, moved=_copies(found, instance))
        return replace(basis, guard=f"{_SYSTEM}/{unit}.d/zz-encamp-adopted.conf")
    if found.kind == USER_UNIT:
        folder = f"{pwd.getpwnam(keeper.user).pw_dir}/.config/systemd/user"
        enabled = _user_systemctl(host, keeper.user, "is-enabled", unit, must=False)
        return replace(basis, enabled=enabled, guard=f"{folder}/{unit}.d/zz-encamp-adopted.conf")
    if found.kind == CONTAINER:
        return replace(basis, containers=_containers(host, found))
    return _of_process(host, basis, found)


def _copies(found: FoundServer, instance: str) -> dict[str, str]:
    """The unit's file and its drop-ins below /etc, which encamp's own unit replaces, and where their copies go."""
    files = [path for path in (found.path, *found.drop_ins) if path.startswith(f"{_SYSTEM}/")]
    return {path: f"{Places(instance).folder}/{path.strip('/').replace('/', '+')}" for path in files}


def _containers(host: System, found: FoundServer) -> dict[str, str]:
    """The server's container and those of its Compose project that use it, with their restart policies."""
    names = [found.name.partition(" ")[2]]
    if found.project:
        names += [runner.keeper for runner in found.runners if runner.kind == CONTAINER]
    kept = {}
    for name in names:
        data = docker.inspect(host, "containers", name) or {}
        project = ((data.get("Config") or {}).get("Labels") or {}).get("com.docker.compose.project", "")
        if project == found.project:
            policy = ((data.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name") or "no"
            kept[name] = str(policy)
    return kept


def _of_process(host: System, basis: Adoption, found: FoundServer) -> Adoption:
    line = boot_lines.of_user(host, found.process.user)
    process = found.process
    known = replace(basis, enabled=line is not None, cwd=process.cwd)
    if line:
        text = read_text(host, line.file).split("\n")[line.number - 1]
        return replace(known, boot={line.place: text}, start=line.command, cwd=pwd.getpwnam(process.user).pw_dir)
    return replace(known, argv=tuple(process.argv), environment=dict(process.environment))


def stop(host: System, adoption: Adoption, port: int) -> None:
    """Stop it, and see that it stays so. Raises Failure."""
    if adoption.kind == UNIT:
        if unit_state(host, adoption.unit).exists:  # an interrupted takeover may have moved its file already
            host.run(["systemctl", "disable", "--quiet", "--", adoption.unit])
            host.run(["systemctl", "stop", "--", adoption.unit], timeout=120)
        for path, copy in adoption.moved.items():
            if host.stat(path) is not None:
                host.write(copy, host.read(path) or b"", "root", "root", 0o600)
                host.remove(path)
        _guard(host, adoption.guard)
        host.run(["systemctl", "daemon-reload"])
    elif adoption.kind == USER_UNIT:
        _user_systemctl(host, adoption.user, "disable", "--now", adoption.unit)
        _guard(host, adoption.guard, adoption.user)
        _user_systemctl(host, adoption.user, "daemon-reload")
    elif adoption.kind == CONTAINER:
        for name in adoption.containers:
            host.run(["docker", "update", "--restart=no", name])
            host.run(["docker", "stop", "--time", "30", name], timeout=120)
    else:
        _comment_out(host, adoption)
        _end_processes(host, adoption, port)
    _require_free(host, port)


def _guard(host: System, path: str, user: str = "root") -> None:
    if path:
        host.mkdir(os.path.dirname(path), user, "")
        host.write(path, _GUARD, user, "", 0o644)


def _user_systemctl(host: System, user: str, *words: str, must: bool = True) -> bool:
    """``systemctl --user`` for another user, whose manager runs; True where it succeeded. Raises Failure."""
    uid = pwd.getpwnam(user).pw_uid
    environment = {"XDG_RUNTIME_DIR": f"/run/user/{uid}"}
    result = host.query(["systemctl", "--user", *words], env=environment, as_user=user)
    if must and not result.ok:
        raise Failure(
            f"`systemctl --user {' '.join(words)}` of {user} failed",
            fix=f"run it as {user}; `loginctl enable-linger {user}` keeps its units without a login",
            detail=result.tail,
        )
    return result.ok


def _comment_out(host: System, adoption: Adoption) -> None:
    """Turn the line that starts it at boot into a comment."""
    for place, line in adoption.boot.items():
        path, _, number = place.rpartition(":")
        lines = read_text(host, path).split("\n")
        stat = host.stat(path)
        if stat and lines[int(number) - 1] == line:
            lines[int(number) - 1] = DISABLED + line
            host.write(path, "\n".join(lines), stat.owner, stat.group, stat.mode)


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
