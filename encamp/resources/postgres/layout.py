"""The Postgres clusters of a host, from files only: no process, and valid when the server is down."""

from __future__ import annotations

import re
from typing import Iterator, Optional

from encamp.resources.base import Refused
from encamp.resources.system import Reader
from encamp.shared.record import record, replace

DEFAULT_PORT = 5432
DEBIAN_CONFIG = "/etc/postgresql"
DEBIAN_DATA = "/var/lib/postgresql"
DEBIAN_PROGRAMS = "/usr/lib/postgresql"
RHEL_HOME = "/var/lib/pgsql"

_SETTING = re.compile(r"^\s*(\w+)\s*(?:=|\s)\s*('(?:[^']|'')*'|[^\s#]+)", re.MULTILINE)


@record
class Cluster:
    """A cluster on disk.

    ``config``, ``data`` and ``programs`` are directories, ``log`` is a file or directory, ``unit`` its systemd unit.
    ``status`` is down, starting or ready; ``socket`` the directory of its Unix socket, empty while it is down;
    ``owner`` its operating system user (and superuser role).
    """

    name: str
    version: str
    config: str
    data: str
    programs: str
    unit: str
    log: str
    owner: str
    port: int
    status: str = "down"
    socket: str = ""

    @property
    def label(self) -> str:
        """Version and name: 15/main."""
        return f"{self.version}/{self.name}"

    @property
    def running(self) -> bool:
        return self.status == "ready"


def clusters(host: Reader) -> list[Cluster]:
    """All clusters whose server programs are installed, oldest version first."""

    def read() -> list[Cluster]:
        present = _rhel(host) if host.os_release().family == "rhel" else _debian(host)
        return sorted(present, key=lambda cluster: (float(cluster.version), cluster.name))

    return host.once("postgres clusters", read)


def find(host: Reader, name: str) -> Optional[Cluster]:
    """The cluster called ``name`` (on RHEL, where clusters have no names: main); None if there is none.

    Of several versions the one on port 5432, otherwise the newest: after a release upgrade Debian creates a new, empty
    cluster on another port beside the one with the data.
    """
    named = [cluster for cluster in clusters(host) if cluster.name == name]
    standard = [cluster for cluster in named if cluster.port == DEFAULT_PORT]
    return (standard or named)[-1] if named else _without_config(host, name)


def refuse_others(host: Reader, name: str) -> None:
    """Raise Refused if the host has clusters already: encamp creates none beside them."""
    others = clusters(host)
    if others:
        last = others[-1]
        raise Refused(
            f"this host has the Postgres cluster {', '.join(other.label for other in others)}, but not {name}",
            "encamp does not create a second cluster beside an existing one",
            f"set postgres_cluster: {last.name} (and postgres_port: {last.port}) for this host, or create {name} "
            f"yourself: pg_createcluster {last.version} {name} --start",
        )


def versions(host: Reader) -> list[str]:
    """Major versions whose server is installed on a Debian host, oldest first."""
    names = [name for name in host.listdir(DEBIAN_PROGRAMS) if host.stat(f"{DEBIAN_PROGRAMS}/{name}/bin/postgres")]
    return sorted(names, key=float)


def _debian(host: Reader) -> Iterator[Cluster]:
    for version in versions(host):
        for name in host.listdir(f"{DEBIAN_CONFIG}/{version}"):
            yield _debian_cluster(host, version, name)


def _debian_cluster(host: Reader, version: str, name: str) -> Cluster:
    config = f"{DEBIAN_CONFIG}/{version}/{name}"
    settings = _settings(host, f"{config}/postgresql.conf")
    for part in host.listdir(f"{config}/conf.d"):
        settings.update(_settings(host, f"{config}/conf.d/{part}") if part.endswith(".conf") else {})
    data = settings.get("data_directory", f"{DEBIAN_DATA}/{version}/{name}")
    programs, unit = f"{DEBIAN_PROGRAMS}/{version}/bin", f"postgresql@{version}-{name}.service"
    log = f"/var/log/postgresql/postgresql-{version}-{name}.log"
    return _cluster(host, Cluster(name, version, config, data, programs, unit, log, "", _port(settings)))


def _without_config(host: Reader, name: str) -> Optional[Cluster]:
    """A cluster with only a data directory, in Debian's place: its creation was interrupted, or its files are lost."""
    for version in reversed(versions(host)):
        if host.listdir(f"{DEBIAN_DATA}/{version}/{name}"):
            return _debian_cluster(host, version, name)
    return None


def _rhel(host: Reader) -> Iterator[Cluster]:
    """The distribution's own cluster, then those of the PostgreSQL project's packages (these untested)."""
    places = [(f"{RHEL_HOME}/data", "/usr/bin", "postgresql.service")]
    for name in host.listdir(RHEL_HOME):
        if name.isdigit():
            places.append((f"{RHEL_HOME}/{name}/data", f"/usr/pgsql-{name}/bin", f"postgresql-{name}.service"))
    for data, programs, unit in places:
        version = (host.read(f"{data}/PG_VERSION") or b"").decode().strip()
        if version and host.stat(f"{programs}/postgres"):
            port = _port(_settings(host, f"{data}/postgresql.conf"))
            yield _cluster(host, Cluster("main", version, data, data, programs, unit, f"{data}/log", "", port))


def _cluster(host: Reader, cluster: Cluster) -> Cluster:
    """Add what the data directory shows: owner, port and status."""
    owner = host.stat(cluster.data)
    altered = _settings(host, f"{cluster.data}/postgresql.auto.conf")
    cluster = replace(cluster, owner=owner.owner if owner else "postgres", port=_port(altered, cluster.port))
    lines = (host.read(f"{cluster.data}/postmaster.pid") or b"").decode("utf-8", "replace").splitlines()
    if not lines or not _is_server(host, lines[0].strip()):
        return cluster
    if len(lines) < 8 or lines[7].strip() not in ("ready", "standby"):
        return replace(cluster, status="starting")
    port, socket = int(lines[3]), lines[4].strip()
    if socket and not host.stat(f"{socket}/.s.PGSQL.{port}"):
        return cluster  # the socket was removed: only a restart creates it again
    return replace(cluster, status="ready", port=port, socket=socket)


def _is_server(host: Reader, pid: str) -> bool:
    """Whether a process id is a running Postgres server's: after a crash the file may contain another program's."""
    words = (host.read(f"/proc/{pid}/stat") or b"").split() if pid.isdigit() else []
    return len(words) > 2 and words[1] in (b"(postgres)", b"(postmaster)") and words[2] != b"Z"


def _settings(host: Reader, path: str) -> dict[str, str]:
    """The settings of a configuration file, unparsed; of equal names the last counts."""
    text = (host.read(path) or b"").decode("utf-8", "replace")
    pairs = _SETTING.findall(text)
    return {name.lower(): value[1:-1].replace("''", "'") if value[0] == "'" else value for name, value in pairs}


def _port(settings: dict[str, str], otherwise: int = DEFAULT_PORT) -> int:
    value = settings.get("port", "")
    return int(value) if value.isdigit() else otherwise
