"""Starting a Postgres server, and changing settings that require a restart."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, CommandFailed, Failure
from encamp.resources.postgres import initdb, layout
from encamp.resources.postgres.layout import Cluster
from encamp.resources.postgres.sql import literal
from encamp.resources.postgres.state import execute
from encamp.resources.system import Reader, System

START_SECONDS = 300  # recovery after a crash takes time


def start(host: System, cluster: Cluster) -> None:
    """Start (or restart) the server, or wait for one that is starting. Raises Failure with the end of its log."""
    host.progress(f"starting Postgres {cluster.label}")
    if cluster.status != "starting":
        try:
            host.run(["systemctl", "restart", cluster.unit], timeout=START_SECONDS)
        except CommandFailed as error:
            raise _did_not_start(host, cluster) from error
    host.wait_for(lambda: _status(host, cluster) != "starting", START_SECONDS)
    if _status(host, cluster) != "ready":
        raise _did_not_start(host, cluster)


def alter(host: System, name: str, changes: Sequence[Change]) -> None:
    """Set the settings in ``changes`` (``what`` is a setting, ``after`` its value) in the running cluster ``name``.

    Written with ALTER SYSTEM, then the server is restarted. If it does not start, the old settings are restored and it
    is started with them. Raises Failure.
    """
    cluster = layout.find(host, name)
    if cluster is None:
        raise Failure(f"Postgres cluster {name} does not exist on this host")
    file = f"{cluster.data}/postgresql.auto.conf"
    before, stat = host.read(file), host.stat(file)
    for change in changes:
        execute(host, name, f"ALTER SYSTEM SET {change.what} = {literal(change.after)};")
    try:
        start(host, cluster)
    except Failure as failure:
        if before is None or stat is None:
            raise
        host.write(file, before, stat.owner, stat.group, stat.mode)
        start(host, cluster)
        wanted = ", ".join(f"{change.what} = {change.after!r}" for change in changes)
        raise Failure(
            f"Postgres {cluster.label} does not start with {wanted}; the old settings are restored and it runs again",
            "an address that this host does not have, a port in use, or too little memory: the first FATAL "
            "below says which",
            "correct the setting",
            failure.detail,
        ) from None


def _status(host: Reader, cluster: Cluster) -> str:
    current = layout.find(host, cluster.name)
    return current.status if current else "down"


def _did_not_start(host: Reader, cluster: Cluster) -> Failure:
    return Failure(
        f"Postgres {cluster.label} does not start",
        "an error in postgresql.conf, a full disk, or a port in use: the first FATAL below says which",
        f"fix that, try `systemctl restart {cluster.unit}`, then deploy again",
        initdb.last_log_lines(host, cluster),
    )
