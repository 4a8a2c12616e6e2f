"""Creating a Postgres cluster with the distribution's tools, and enabling it at boot."""

from __future__ import annotations

from encamp.resources.base import Failure, Refused
from encamp.resources.postgres import layout
from encamp.resources.postgres.boot import WANTS, start_conf, starts_at_boot
from encamp.resources.postgres.layout import Cluster
from encamp.resources.system import Reader, System

LOCALE = "C.UTF-8"
LOG_LINES = 15


def create(host: System, name: str) -> None:
    """Create the cluster ``name`` with the newest installed version, in UTF-8.

    Raises Failure when no server is installed.
    """
    host.progress("creating a Postgres cluster")
    if host.os_release().family == "rhel":
        if name != "main":
            raise Refused(f"a RHEL host has only the Postgres cluster main, not {name}", fix="remove the name")
        options = {"PGSETUP_INITDB_OPTIONS": f"--encoding=UTF8 --locale={LOCALE}"}
        host.run(["postgresql-setup", "--initdb"], env=options, fix="install postgresql-server")
        return
    installed = layout.versions(host)
    if not installed:
        raise Failure(
            "no Postgres server is installed on this host",
            "the role's packages do not include one",
            "declare Packages with `postgresql` before the cluster",
        )
    argv = ["pg_createcluster", "--encoding", "UTF8", "--locale", LOCALE, "--start-conf", "auto", installed[-1], name]
    host.run(argv)


def enable(host: System, cluster: Cluster) -> None:
    """Enable the cluster at boot, as the distribution does: on Debian with start.conf and postgresql.service."""
    if starts_at_boot(host, cluster):
        return
    if host.os_release().family == "rhel":
        host.run(["systemctl", "enable", cluster.unit])
        return
    if start_conf(host, cluster) != "auto":
        host.write(f"{cluster.config}/start.conf", "auto\n", cluster.owner, cluster.owner, 0o644)
        host.run(["systemctl", "daemon-reload"])
    if host.stat(f"{WANTS}/postgresql.service") is None:
        host.run(["systemctl", "enable", "postgresql.service"])


def last_log_lines(host: Reader, cluster: Cluster) -> str:
    """The end of the server's log, or of the unit's journal without one."""
    log = cluster.log
    names = [name for name in host.listdir(log) if name.endswith(".log")]
    if names:
        log = max((f"{log}/{name}" for name in names), key=lambda path: _mtime(host, path))
    stat = host.stat(log)
    if stat is not None and stat.kind == "file":
        return "\n".join(host.query(["tail", "-n", str(LOG_LINES), log]).out.splitlines())
    return host.query(["journalctl", "-q", "--no-pager", "-n", str(LOG_LINES), "-u", cluster.unit]).out.strip()


def _mtime(host: Reader, path: str) -> float:
    stat = host.stat(path)
    return stat.mtime if stat else 0.0
