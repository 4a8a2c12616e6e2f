"""Starting a Postgres server, and giving it settings that only a restart brings into effect."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, CommandFailed, Failure
from encamp.resources.postgres import initdb as setup
from encamp.resources.postgres import layout
from encamp.resources.postgres.layout import Cluster
from encamp.resources.postgres.sql import literal
from encamp.resources.postgres.state import execute
from encamp.resources.system import Reader, System

START_SECONDS = 300  # recovery after a crash takes its time


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
    """Give the running cluster ``name`` the settings in ``changes`` (``what`` is a setting, ``after`` its value).

    Written with ALTER SYSTEM, then the server is restarted. One that does not start gets its old settings back, and is
    started with them. Raises Failure.
    """
    cluster = layout.find(host, name)
    if cluster is None:
        raise Failure(f"there is no Postgres cluster {name} on this host")
    file = f"{cluster.data}/postgresql.auto.conf"
    before, found = host.read(file), host.stat(file)
    for change in changes:
        execute(host, name, f"ALTER SYSTEM SET {change.what} = {literal(change.after)};")
    try:
        start(host, cluster)
    except Failure as failure:
        if before is None or found is None:
            raise
        host.write(file, before, found.owner, found.group, found.mode)
        start(host, cluster)
        wanted = ", ".join(f"{change.what} = {change.after!r}" for change in changes)
        raise Failure(
            f"Postgres {cluster.label} does not start with {wanted}; it runs with its old settings again",
            "its log tells; often an address or port that this host does not have to give",
            "correct the setting",
            failure.detail,
        ) from None


def _status(host: Reader, cluster: Cluster) -> str:
    found = layout.find(host, cluster.name)
    return found.status if found else "down"


def _did_not_start(host: Reader, cluster: Cluster) -> Failure:
    return Failure(
        f"Postgres {cluster.label} does not start",
        "its log tells; often a full disk, a port that is taken, or a mistake in postgresql.conf",
        f"repair that, try `systemctl restart {cluster.unit}`, then deploy again",
        setup.last_log_lines(host, cluster),
    )
