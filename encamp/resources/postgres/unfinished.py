"""Clusters whose making was cut off: how to know them, and how to put them out of the way without dropping anything.

When a kill or a power cut stops initdb, Debian's package scripts adopt what it left on the next occasion and may even
start it: a server without the database ``postgres``, or with half a catalogue.
"""

from __future__ import annotations

from encamp.resources.base import Failure, Refused
from encamp.resources.postgres.layout import DEBIAN_CONFIG, Cluster
from encamp.resources.postgres.state import ask, read_state
from encamp.resources.system import Reader, System

FIRST_USER_OID = 16384  # what people make has numbers from here on
FIRST_DATABASES = 3  # template1, template0 and postgres: initdb's last step
_USED = f"""SELECT json_build_object(
  'whole', EXISTS (SELECT FROM pg_database WHERE datname = 'postgres'),
  'used', EXISTS (SELECT FROM pg_database WHERE oid >= {FIRST_USER_OID})
       OR EXISTS (SELECT FROM pg_authid WHERE oid >= {FIRST_USER_OID})
       OR EXISTS (SELECT FROM pg_class WHERE oid >= {FIRST_USER_OID}));"""


def is_unfinished(host: Reader, cluster: Cluster) -> bool:
    """Whether the cluster was never made to the end and holds no data.

    Raises Refused where that cannot be told from data that lost its configuration, or its file system; Failure where
    the server runs and does not answer. On RHEL (untested) always False.
    """
    if host.os_release().family == "rhel":
        return False
    configured = _is_configured(host, cluster)
    if configured and not host.stat(f"{cluster.data}/PG_VERSION"):
        raise Refused(
            f"the Postgres cluster {cluster.label} is configured, but its data directory {cluster.data} is empty",
            "a file system is not mounted, or the data was moved",
            "mount it, or correct data_directory in postgresql.conf",
        )
    if configured and _is_made(host, cluster):
        return cluster.running and _is_hollow(host, cluster)
    if not _holds_data(host, cluster):
        return True
    if host.stat(f"{cluster.config}/postgresql.conf"):
        return False  # whether it can run is for the start to tell
    raise Refused(
        f"{cluster.data} holds data, but there is no {cluster.config}/postgresql.conf",
        "somebody removed the configuration of that Postgres cluster",
        f"restore it from a backup, or let Debian make a new one: pg_createcluster {cluster.version} {cluster.name}",
    )


def move_aside(host: System, cluster: Cluster) -> None:
    """Keep what an unfinished cluster left under other names, so that a whole one can be made."""
    if cluster.status != "down":
        host.run(["systemctl", "stop", cluster.unit])
    number = 1
    while host.stat(f"{cluster.data}.unfinished-{number}"):
        number += 1
    data, config = f"{cluster.data}.unfinished-{number}", ""
    if host.stat(cluster.config):
        host.mkdir(f"{DEBIAN_CONFIG}/.unfinished", mode=0o755)
        config = f"{DEBIAN_CONFIG}/.unfinished/{cluster.version}-{cluster.name}-{number}"
        host.remove(config)  # left by a run that was cut off right here
        host.rename(cluster.config, config)
    if host.stat(cluster.data):
        host.rename(cluster.data, data)
    kept = " and ".join(path for path in (data, config) if path and host.stat(path))
    host.note(f"the making of Postgres {cluster.label} had been cut off; what it left is in {kept}")


def _is_configured(host: Reader, cluster: Cluster) -> bool:
    """Whether pg_createcluster came to its end: the file ``environment`` is the last that it writes."""
    return all(host.stat(f"{cluster.config}/{name}") for name in ("postgresql.conf", "environment"))


def _is_made(host: Reader, cluster: Cluster) -> bool:
    """Whether initdb made all that it makes, as far as files tell."""
    return (
        host.stat(f"{cluster.data}/global/pg_control") is not None and len(_numbers(host, cluster)) >= FIRST_DATABASES
    )


def _numbers(host: Reader, cluster: Cluster) -> list[int]:
    """The object numbers of the databases that have files."""
    return [int(name) for name in host.listdir(f"{cluster.data}/base") if name.isdigit()]


def _holds_data(host: Reader, cluster: Cluster) -> bool:
    """Whether files speak for data: a whole cluster that was started, a user's database, or a backup put there."""
    if any(host.stat(f"{cluster.data}/{trace}") for trace in ("backup_label", "standby.signal", "recovery.signal")):
        return True
    if any(number >= FIRST_USER_OID for number in _numbers(host, cluster)) or host.listdir(f"{cluster.data}/pg_tblspc"):
        return True
    return _is_made(host, cluster) and host.stat(f"{cluster.data}/postmaster.opts") is not None


def _is_hollow(host: Reader, cluster: Cluster) -> bool:
    """Whether a server runs on what initdb left before it had made the database postgres, and nobody used it."""
    try:
        read_state(host, cluster.name)
    except Failure as failure:
        if 'database "postgres" does not exist' not in failure.detail:
            raise
        found = ask(host, cluster, _USED, "template1")
        if found["whole"] or found["used"]:
            raise
        return True
    return False
