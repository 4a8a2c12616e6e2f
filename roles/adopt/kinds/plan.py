"""What the way back from a takeover needs: read from the server as it runs, and copied before anything is changed."""

from __future__ import annotations

import pwd
import re
from typing import Iterator, Mapping

from encamp.resources.docker import api as docker
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_state
from encamp.shared.record import replace
from roles.adopt.kinds import boot_lines
from roles.adopt.kinds.adoption import Adoption, Places
from roles.adopt.kinds.found import FoundServer
from roles.adopt.kinds.keeper import CONTAINER, UNIT, USER_UNIT, read_text
from roles.adopt.kinds.user_manager import has_manager, user_systemctl

SYSTEM = "/etc/systemd/system"


def planned(host: Reader, found: FoundServer, new_unit: str, instance: str) -> Adoption:
    """What is kept of ``found``. Changes nothing."""
    keeper = found.process.keeper
    unit = keeper.name if found.kind in (UNIT, USER_UNIT) else ""
    basis = Adoption(found.name, found.kind, found.process.user, unit, new_unit, running=found.running, port=found.port)
    if found.kind == UNIT:
        state = unit_state(host, unit)
        basis = replace(basis, enabled=state.enabled, running=not state.stopped, links=dict(_links(host, unit)))
        if unit == new_unit:
            return replace(basis, moved=_moved(found, instance))
        return replace(basis, guard=f"{SYSTEM}/{unit}.d/zz-encamp-adopted.conf")
    if found.kind == USER_UNIT:
        folder = f"{pwd.getpwnam(keeper.user).pw_dir}/.config/systemd/user"
        enabled = has_manager(host, keeper.user) and user_systemctl(host, keeper.user, "is-enabled", unit, must=False)
        return replace(basis, enabled=enabled, guard=f"{folder}/{unit}.d/zz-encamp-adopted.conf")
    if found.kind == CONTAINER:
        return replace(basis, containers=_containers(host, found))
    return _of_process(host, basis, found)


def copy_files(host: System, adoption: Adoption, instance: str) -> None:
    """Copy the owner's files that a takeover moves or changes, as they are: links, owners and modes are kept.

    Of crontabs the copy is for people: the way back changes single lines. What is not there was moved by a takeover
    that was cut off: its copy stays.
    """
    crontabs = {place.rpartition(":")[0] for place in adoption.boot}
    copies = {**adoption.moved, **{path: Places(instance).copy(path) for path in crontabs}}
    for path, copy in copies.items():
        if host.stat(path) is not None:
            host.run(["cp", "-a", "-T", "--remove-destination", "--", path, f"{copy}.part"])
            host.rename(f"{copy}.part", copy)


def _moved(found: FoundServer, instance: str) -> dict[str, str]:
    """The unit's file and its drop-ins below /etc, which encamp's own unit replaces, and where their copies go."""
    files = [path for path in (found.path, *found.drop_ins) if path.startswith(f"{SYSTEM}/")]
    return {path: Places(instance).copy(path) for path in files}


def _links(host: Reader, unit: str) -> Iterator[tuple[str, str]]:
    """The links that enable a unit, or give it other names, with their targets: ``systemctl disable`` removes them."""
    for name in host.listdir(SYSTEM):
        path = f"{SYSTEM}/{name}"
        inside = host.listdir(path) if name.endswith((".wants", ".requires", ".upholds")) else ()
        for place in (path, *(f"{path}/{each}" for each in inside)):
            stat = host.stat(place)
            if stat and stat.kind == "symlink" and unit in (place.rpartition("/")[2], stat.target.rpartition("/")[2]):
                yield place, stat.target


def _containers(host: Reader, found: FoundServer) -> dict[str, str]:
    """The server's container and those of its Compose project that use it, with their restart policies."""
    names = [found.name.partition(" ")[2]]
    if found.project:
        names += [runner.keeper for runner in found.runners if runner.kind == CONTAINER]
    kept = {}
    for name in names:
        data = docker.inspect(host, "containers", name) or {}
        project = ((data.get("Config") or {}).get("Labels") or {}).get("com.docker.compose.project", "")
        if project == found.project:
            kept[name] = _policy((data.get("HostConfig") or {}).get("RestartPolicy") or {})
    return kept


def _policy(given: Mapping[str, object]) -> str:
    """A restart policy as ``docker update`` takes it."""
    name, most = str(given.get("Name") or "no"), given.get("MaximumRetryCount")
    return f"{name}:{most}" if name == "on-failure" and most else name


def _of_process(host: Reader, basis: Adoption, found: FoundServer) -> Adoption:
    process, lines = found.process, boot_lines.of_user(host, found.process.user)
    boot = {line.place: read_text(host, line.file).split("\n")[line.number - 1] for line in lines}
    known = replace(basis, enabled=bool(lines), boot=boot, cwd=process.cwd)
    first = next((line for line in lines if line.when == boot_lines.AT_BOOT), None)
    if first is None:
        return replace(known, argv=tuple(process.argv), environment=dict(process.environment))
    home = pwd.getpwnam(process.user).pw_dir
    # cron ends a command at the first %, unless a backslash stands before it.
    command = re.split(r"(?<!\\)%", first.command)[0].replace("\\%", "%")
    return replace(known, start=command, cwd=home, environment=dict(first.variables))
