"""What keeps a process running, and starts it again at boot: read from its control group and its ancestors."""

from __future__ import annotations

import re
from typing import Iterator, Optional, Sequence

from encamp.resources.docker import api as docker
from encamp.resources.system import Reader
from encamp.shared.record import record

UNIT, USER_UNIT, CONTAINER, PODMAN, SESSION = "unit", "user unit", "container", "podman container", "process"
#: LXC, systemd-nspawn, Kubernetes: a system of its own beside the host's.
OTHER_CONTAINER = "container of another kind"
_DOCKER = re.compile(r"/(?:docker/|docker-)([0-9a-f]{64})(?:\.scope)?$")
_PODMAN = re.compile(r"/libpod-(?:payload-)?([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_USER_UNIT = re.compile(r"/user@(\d+)\.service/(?:.*/)?([^/]+\.service)$")
_UNIT = re.compile(r"/([^/]+\.service)$")
#: Services whose processes belong to whoever started them, not to the service.
HOSTS_OF_OTHERS = re.compile(
    r"^(?:cron|crond|cronie|anacron|atd|ssh|sshd|ssh@.*|sshd@.*|rc-local|user@\d+|supervisord?|pm2|pm2-.*|docker|"
    r"containerd|podman.*|dbus|init|getty@.*|serial-getty@.*|screen.*|tmux.*|runit.*|s6.*|daemontools|svscan|"
    r"circusd?|jupyter.*|code-server.*)\.service$"
)
#: Programs that start what they keep running again when it ends, by the name that the kernel shows.
RESTARTERS = {
    "supervisord": "supervisord",
    "PM2": "PM2",
    "runsv": "runit",
    "s6-supervise": "s6",
    "supervise": "daemontools",
    "circusd": "circus",
}
#: Programs that others are started in.
ANCESTORS = ("tmux", "screen", "SCREEN", "cron", "crond", "atd", "sshd", "rc.local")
_IGNORES_HANGUP = 1


@record
class Keeper:
    """What keeps a server running.

    ``kind`` is unit, user unit, container, podman container, container of another kind, or process. ``name`` is the
    unit's or the container's name; of a process the program that starts it again, else the nearest one that it runs in,
    such as tmux. ``user`` runs it. ``key`` is the same for all processes that belong together.
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
    if _is_elsewhere(host, pid):
        return Keeper(OTHER_CONTAINER, group, user, group)
    family = list(ancestors(host, pid))
    restarter = next((known for _, name in family for known in RESTARTERS if name.startswith(known)), "")
    within, unit = _USER_UNIT.search(group), _UNIT.search(group)
    if within and not restarter and not _lends(within[2]):
        return Keeper(USER_UNIT, within[2], user, f"{within[1]}/{within[2]}")
    if unit and not within and not restarter and not _lends(unit[1]):
        return Keeper(UNIT, unit[1], user, unit[1])
    inside = next((known for _, name in family for known in ANCESTORS if name.startswith(known)), "")
    known_as = (*RESTARTERS, *ANCESTORS, "systemd")
    oldest = next((each for each, name in reversed(family) if not name.startswith(known_as)), pid)
    keeper = RESTARTERS.get(restarter) or inside or ("nohup" if _ignores_hangup(host, pid) else "")
    return Keeper(SESSION, keeper, user, str(oldest))


def _ignores_hangup(host: Reader, pid: int) -> bool:
    """Whether a process was started so that the end of its login does not end it, as nohup(1) does."""
    found = re.search(r"^SigIgn:\s*([0-9a-f]+)", read_text(host, f"/proc/{pid}/status"), re.MULTILINE)
    return found is not None and int(found[1], 16) & _IGNORES_HANGUP != 0


def _is_elsewhere(host: Reader, pid: int) -> bool:
    """Whether a process has PIDs of its own: it is in some container, whose units and files are not the host's."""
    try:
        here, there = host.stat("/proc/1/ns/pid"), host.stat(f"/proc/{pid}/ns/pid")
    except OSError:
        return False
    return here is not None and there is not None and here.target != there.target


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
