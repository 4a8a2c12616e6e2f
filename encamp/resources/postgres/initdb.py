"""Making a Postgres cluster with the distribution's own tools, and having it start at boot."""

from __future__ import annotations

from encamp.resources.base import Failure, Refused
from encamp.resources.postgres import layout
from encamp.resources.postgres.layout import Cluster
from encamp.resources.system import Reader, System

WANTS = "/etc/systemd/system/multi-user.target.wants"
LOCALE = "C.UTF-8"
LOG_LINES = 15


def create(host: System, name: str) -> None:
    """Make the cluster ``name`` of the newest installed version, in UTF-8.

    Raises Failure where no server is installed.
    """
    host.progress("creating a Postgres cluster")
    if host.os_release().family == "rhel":
        if name != "main":
            raise Refused(f"a RHEL host has one Postgres cluster, main; not {name}", fix="leave the name out")
        options = {"PGSETUP_INITDB_OPTIONS": f"--encoding=UTF8 --locale={LOCALE}"}
        host.run(["postgresql-setup", "--initdb"], env=options, fix="install postgresql-server")
        return
    installed = layout.versions(host)
    if not installed:
        raise Failure(
            "no Postgres server is installed on this host",
            "the packages of the role do not bring one",
            "declare Packages with `postgresql` before the cluster",
        )
    argv = ["pg_createcluster", "--encoding", "UTF8", "--locale", LOCALE, "--start-conf", "auto", installed[-1], name]
    host.run(argv)


def starts_at_boot(host: Reader, cluster: Cluster) -> bool:
    """Whether systemd starts the cluster at boot."""
    if host.stat(f"{WANTS}/{cluster.unit}"):
        return True
    if host.os_release().family == "rhel":
        return False
    return _start_conf(host, cluster) == "auto" and host.stat(f"{WANTS}/postgresql.service") is not None


def enable(host: System, cluster: Cluster) -> None:
    """Have systemd start the cluster at boot, the distribution's way: on Debian start.conf and postgresql.service."""
    if starts_at_boot(host, cluster):
        return
    if host.os_release().family == "rhel":
        host.run(["systemctl", "enable", cluster.unit])
        return
    if _start_conf(host, cluster) != "auto":
        host.write(f"{cluster.config}/start.conf", "auto\n", cluster.owner, cluster.owner, 0o644)
        host.run(["systemctl", "daemon-reload"])
    if host.stat(f"{WANTS}/postgresql.service") is None:
        host.run(["systemctl", "enable", "postgresql.service"])


def _start_conf(host: Reader, cluster: Cluster) -> str:
    """The word in Debian's start.conf: auto, manual or disabled; auto where there is no file."""
    text = (host.read(f"{cluster.config}/start.conf") or b"auto").decode("utf-8", "replace")
    words = [line.partition("#")[0].strip() for line in text.splitlines()]
    return next((word for word in words if word), "auto")


def last_log_lines(host: Reader, cluster: Cluster) -> str:
    """The end of the server's log, or of the unit's journal where there is none."""
    log = cluster.log
    names = [name for name in host.listdir(log) if name.endswith(".log")]
    if names:
        log = max((f"{log}/{name}" for name in names), key=lambda path: _mtime(host, path))
    found = host.stat(log)
    if found is not None and found.kind == "file":
        return "\n".join(host.query(["tail", "-n", str(LOG_LINES), log]).out.splitlines())
    return host.query(["journalctl", "-q", "--no-pager", "-n", str(LOG_LINES), "-u", cluster.unit]).out.strip()


def _mtime(host: Reader, path: str) -> float:
    found = host.stat(path)
    return found.mtime if found else 0.0
