"""What speaks against continuing a server, by what keeps it running; and the command that stops it."""

from __future__ import annotations

import re
from typing import Any, Mapping, Optional, Sequence

from encamp.resources.system import Reader
from encamp.shared.record import record
from roles.adopt.kinds.found import FoundServer
from roles.adopt.kinds.keeper import (
    CONTAINER,
    OTHER_CONTAINER,
    PODMAN,
    RESTARTERS,
    UNIT,
    USER_UNIT,
    ancestors,
    read_text,
)

#: Takes a service out of the hands of a program that starts it again, for good.
_RELEASE = {
    "supervisord": "remove its [program:...] section, then `supervisorctl update`",
    "PM2": "`pm2 delete {service} && pm2 save`",
    "runit": "remove the link to it in runit's directory of services",
    "s6": "remove it from s6's scan directory",
    "daemontools": "remove the link to it in /service",
    "circus": "remove its [watcher:...] section, then `circusctl reloadconfig`",
}


@record
class Obstacle:
    """Why encamp cannot continue a server, and what its owner can do."""

    reason: str
    fix: str


def stop_command(host: Reader, found: FoundServer) -> str:
    """The command, for people, that stops a server now. What starts it at boot or again is another matter."""
    keeper, user = found.process.keeper, found.process.user
    if not found.running:
        return ""
    if found.kind == UNIT:
        return f"systemctl stop {keeper.name}"
    if found.kind == USER_UNIT:
        return f"as {user}: systemctl --user stop {keeper.name}"
    if found.kind == CONTAINER:
        return f"docker stop {found.name.partition(' ')[2]}"
    if found.kind == PODMAN:
        return f"podman stop {keeper.key[:12]}   (as the user who started it)"
    if found.kind == OTHER_CONTAINER:
        return f"kill {found.process.pid}"
    if keeper.name in RESTARTERS.values():
        return _stop_service(host, found)
    session = found.process.environment.get("STY", "")
    if keeper.name.lower() == "screen" and session:
        return f"as {user}: screen -S {session} -X quit"
    return f"kill {found.process.pid}"


def obstacle_of(host: Reader, found: FoundServer) -> Optional[Obstacle]:
    """What speaks against continuing a server; None where nothing does."""
    again, program = "then run `fab adopt` again", found.process.keeper.name
    stop = stop_command(host, found)
    if found.kind == PODMAN:
        return Obstacle(
            f"{found.name} runs in podman, which encamp does not stop or copy from",
            f"copy its database out, and restore it into encamp's own (`{stop}` stops it)",
        )
    if found.kind == OTHER_CONTAINER:
        return Obstacle(
            f"{found.name} runs in a container that is neither Docker's nor podman's ({program})",
            "log in to that container as a host of its own, or copy its database out",
        )
    if program in RESTARTERS.values() and found.kind not in (UNIT, USER_UNIT, CONTAINER):
        release = _RELEASE[program].format(service=_service(host, found) or "NAME")
        return Obstacle(
            f"{found.name} is kept running by {program}, which would start it again",
            f"take it out of {program} ({release}; `{stop}` stops it) and start it by a systemd unit, {again}",
        )
    if (found.container.get("HostConfig") or {}).get("AutoRemove"):
        return Obstacle(
            f"{found.name} was started with --rm: stopping it deletes it, and with it the data that is in no volume",
            f"start it anew without --rm and with its data in a volume, {again}",
        )
    return _data_obstacle(found, again)


def _data_obstacle(found: FoundServer, again: str) -> Optional[Obstacle]:
    """Data that ends with the process."""
    answer = found.answer
    if answer is None:
        return None
    if answer.database_url.reveal().startswith("sqlite") and not answer.sqlite:
        return Obstacle(
            f"{found.name} keeps its data in memory only: it ends with the process",
            "there is nothing to continue: leave adopt: out, stop it, and deploy a new server",
        )
    if answer.sqlite and any(_below(answer.sqlite, place) for place in _in_memory(found.container)):
        return Obstacle(
            f"{found.name} keeps its data in a tmpfs of its container: it ends with the container",
            f"copy {answer.sqlite} out while it runs, start it anew with its data in a volume, {again}",
        )
    return None


def _in_memory(container: Mapping[str, Any]) -> Sequence[str]:
    """The directories of a container that are in memory."""
    mounts = container.get("Mounts") or ()
    in_memory = [str(mount["Destination"]) for mount in mounts if mount.get("Type") == "tmpfs"]
    return [*((container.get("HostConfig") or {}).get("Tmpfs") or ()), *in_memory]


def _below(path: str, place: str) -> bool:
    return path.startswith(place.rstrip("/") + "/")


def _stop_service(host: Reader, found: FoundServer) -> str:
    program, service = found.process.keeper.name, _service(host, found)
    user = found.process.user
    known = {
        "supervisord": f"supervisorctl stop {service}",
        "PM2": f"as {user}: pm2 stop {service}",
        "runit": f"sv down {service}",
        "s6": f"s6-svc -d {_supervised_folder(host, found)}",
        "daemontools": f"svc -d {_supervised_folder(host, found)}",
        "circus": f"circusctl stop {service}",
    }
    return known[program].rstrip()


def _service(host: Reader, found: FoundServer) -> str:
    """What the program that keeps a server running calls it; empty where it does not tell its child."""
    environment, program = found.process.environment, found.process.keeper.name
    if program == "supervisord":
        group, name = (environment.get(f"SUPERVISOR_{key}_NAME", "") for key in ("GROUP", "PROCESS"))
        return name if group in ("", name) else f"{group}:{name}"
    if program == "PM2":
        return environment.get("name", "") or environment.get("pm_id", "")
    if program == "circus":
        return environment.get("CIRCUS_WATCHER", "")
    words = _supervisor(host, found)
    return words[-1].rstrip("/").rpartition("/")[2] if len(words) > 1 else ""


def _supervised_folder(host: Reader, found: FoundServer) -> str:
    """The folder of a service, where its supervisor runs."""
    for pid, name in ancestors(host, found.process.pid):
        if re.match(r"(?:s6-)?supervise", name):
            stat = host.stat(f"/proc/{pid}/cwd")
            return stat.target if stat else ""
    return ""


def _supervisor(host: Reader, found: FoundServer) -> Sequence[str]:
    """The command line of the nearest program above a server that starts it again."""
    for pid, name in ancestors(host, found.process.pid):
        if name.startswith(tuple(RESTARTERS)):
            return [word for word in read_text(host, f"/proc/{pid}/cmdline").split("\0") if word]
    return ()
