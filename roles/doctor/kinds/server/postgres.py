"""The Postgres cluster on the server's own host: whether it is down, and how it is started."""

from __future__ import annotations

from typing import Callable, Optional

from encamp.resources.postgres import initdb, layout, restart
from encamp.resources.postgres.layout import Cluster
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_state
from roles.doctor.kinds.findings import Fix


def stopped_cluster(host: Reader, name: str) -> Optional[Cluster]:
    """The cluster ``name`` if it does not run; None if it runs, or there is none. Empty: the server uses no cluster."""
    cluster = layout.find(host, name) if name else None
    return cluster if cluster and cluster.status == "down" else None


def why(host: Reader, cluster: Cluster) -> tuple[str, str, str]:
    """Cause, fix and the end of its log, for a cluster that is down."""
    state = unit_state(host, cluster.unit)
    failed = f"{cluster.unit} failed, and its unit does not restart it: `fab deploy` changes that"
    if state.broken and state.active_state != "failed":
        failed = f"{cluster.unit} failed, and systemd starts it again and again"
    cause = failed if state.broken else f"{cluster.unit} is stopped"
    return cause, f"`fab doctor --fix`, or `systemctl restart {cluster.unit}`", initdb.last_log_lines(host, cluster)


def start_cluster(cluster: Cluster, wait: Callable[[System], object]) -> Fix:
    """Start the cluster, at boot too; ``wait`` waits until the server, which systemd restarts, answers again."""

    def apply(host: System) -> None:
        initdb.enable(host, cluster)
        restart.start(host, cluster)
        wait(host)

    return Fix(f"starts Postgres {cluster.label} ({cluster.unit})", apply)
