"""What keeps a process running, and starts it again at boot: read from its control group and its ancestors."""

from __future__ import annotations

import re
from typing import Iterator, Optional, Sequence

from encamp.resources.docker import api as docker
from encamp.resources.system import Reader
from encamp.shared.record import record

UNIT, USER_UNIT, CONTAINER, PODMAN, SESSION = "unit", "user unit", "container", "podman container", "process"
_DOCKER = re.compile(r"/(?:docker/|docker-)([0-9a-f]{64})(?:\.scope)?$")
_PODMAN = re.compile(r"/libpod-([0-9a-f]{64})\.scope")
_USER_UNIT = re.compile(r"/user@(\d+)\.service/(?:.*/)?([^/]+\.service)$")
_UNIT = re.compile(r"/([^/]+\.service)$")
#: Services whose processes belong to whoever started them, not to the service.
HOSTS_OF_OTHERS = re.compile(
    r"^(?:cron|crond|cronie|anacron|atd|ssh|sshd|ssh@.*|sshd@.*|rc-local|user@\d+|supervisord?|pm2-.*|docker|"
    r"containerd|podman.*|dbus|init|getty@.*|serial-getty@.*|screen.*|tmux.*)\.service$"
)
#: Programs that start what they keep running again when it ends.
RESTARTERS = ("supervisord", "pm2", "God", "runsv", "s6-supervise")
#: Programs that others are started in.
ANCESTORS = (*RESTARTERS, "tmux", "screen", "SCREEN", "cron", "crond", "atd", "sshd", "nohup")


@record
class Keeper:
    """What keeps a server running.

    ``kind`` is unit, user unit, container, podman container or process. ``name`` is the unit's or the container's name;
    of a process the nearest program that it runs in, such as tmux. ``user`` runs it. ``key`` is the same for all
    processes that belong together.
    """

    kind: str
    name: str
    user: str
    key: str


def keeper_of(host: Reader, pid: int, user: str) -> Keeper:
    """What keeps process ``pid`` of ``user`` running."""
    group = _group(host, pid)
    container, pod = _DOCKER.search(group), _PODMAN.search(group)
    if container and _is_known(host, container[1]):
        return Keeper(CONTAINER, container[1], user, container[1])
    if pod:
        return Keeper(PODMAN, pod[1], user, pod[1])
    within = _USER_UNIT.search(group)
    if within and not _lends(within[2]):
        return Keeper(USER_UNIT, within[2], user, f"{within[1]}/{within[2]}")
    unit = _UNIT.search(group)
    if unit and not within and not _lends(unit[1]):
        return Keeper(UNIT, unit[1], user, unit[1])
    family = list(ancestors(host, pid))
    names = [name for _, name in family]
    inside = next((known for name in names for known in ANCESTORS if name.startswith(known)), "")
    oldest = next((each for each, name in reversed(family) if not name.startswith((*ANCESTORS, "systemd"))), pid)
    return Keeper(SESSION, inside, user, str(oldest))


def _is_known(host: Reader, container: str) -> bool:
    """Whether the host's engine has the container. A host that is itself one shows its own id in all groups."""
    return docker.answers(host) and docker.inspect(host, "containers", container) is not None


def ancestors(host: Reader, pid: int) -> Iterator[tuple[int, str]]:
    """The process and its ancestors up to PID 1, which is left out, each with the name that the kernel shows."""
    while pid > 1:
        stat = read_text(host, f"/proc/{pid}/stat")
        name, _, rest = stat.partition("(")[2].rpartition(")")
        if not rest:
            return
        yield pid, name
        pid = int(rest.split()[1])


def read_text(host: Reader, path: str) -> str:
    """A file of /proc; empty where it has gone, or may not be read."""
    try:
        return (host.read(path) or b"").decode("utf-8", "replace")
    except Exception:  # a process ends whenever it wants: as Failure, or as OSError of the read itself
        return ""


def _group(host: Reader, pid: int) -> str:
    """The control group: of version 2, else the one that systemd made in version 1."""
    lines = read_text(host, f"/proc/{pid}/cgroup").splitlines()
    found: Sequence[Optional[str]] = [
        *(line.partition("::")[2] for line in lines if line.startswith("0::") and line != "0::/"),
        *(line.partition(":name=systemd:")[2] for line in lines if ":name=systemd:" in line),
    ]
    return next((group for group in found if group), "")


def _lends(unit: str) -> bool:
    return bool(HOSTS_OF_OTHERS.match(unit))
