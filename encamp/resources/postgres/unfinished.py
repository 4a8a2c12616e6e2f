"""Clusters whose creation was interrupted: how to detect them, and how to move them away without dropping anything.

After a kill or a power cut during initdb, Debian's package scripts later adopt the result and may even start it: a
server without the database ``postgres``, or with an incomplete catalogue.
"""

from __future__ import annotations

from encamp.resources.base import Failure, Refused
from encamp.resources.postgres.layout import DEBIAN_CONFIG, Cluster
from encamp.resources.postgres.state import ask, read_state
from encamp.resources.system import Reader, System

FIRST_USER_OID = 16384  # objects created by users have oids from here on
FIRST_DATABASES = 3  # template1, template0 and postgres: initdb's last step
_USED = f"""SELECT json_build_object(
  'whole', EXISTS (SELECT FROM pg_database WHERE datname = 'postgres'),
  'used', EXISTS (SELECT FROM pg_database WHERE oid >= {FIRST_USER_OID})
       OR EXISTS (SELECT FROM pg_authid WHERE oid >= {FIRST_USER_OID})
       OR EXISTS (SELECT FROM pg_class WHERE oid >= {FIRST_USER_OID}));"""


def is_unfinished(host: Reader, cluster: Cluster) -> bool:
    """Whether the cluster's creation was interrupted and it contains no data.

    Raises Refused if it may be data without its configuration, or a missing file system; Failure if the server runs but
    does not answer. On RHEL always False.
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
        return False  # starting it will show whether it works
    raise Refused(
        f"{cluster.data} contains data, but {cluster.config}/postgresql.conf does not exist",
        "the configuration of that Postgres cluster was removed",
        f"restore it from a backup, or create a new one: pg_createcluster {cluster.version} {cluster.name}",
    )


def move_aside(host: System, cluster: Cluster) -> None:
    """Rename the files of an unfinished cluster, so that a complete one can be created."""
    if cluster.status != "down":
        host.run(["systemctl", "stop", cluster.unit])
    number = 1
    while host.stat(f"{cluster.data}.unfinished-{number}"):
        number += 1
    data, config = f"{cluster.data}.unfinished-{number}", ""
    if host.stat(cluster.config):
        host.mkdir(f"{DEBIAN_CONFIG}/.unfinished", mode=0o755)
        config = f"{DEBIAN_CONFIG}/.unfinished/{cluster.version}-{cluster.name}-{number}"
        host.remove(config)  # left by a run that was interrupted right here
        host.rename(cluster.config, config)
    if host.stat(cluster.data):
        host.rename(cluster.data, data)
    kept = " and ".join(path for path in (data, config) if path and host.stat(path))
    host.note(f"the creation of Postgres {cluster.label} had been interrupted; its files are now in {kept}")


def _is_configured(host: Reader, cluster: Cluster) -> bool:
    """Whether pg_createcluster completed: the file ``environment`` is the last it writes."""
    return all(host.stat(f"{cluster.config}/{name}") for name in ("postgresql.conf", "environment"))


def _is_made(host: Reader, cluster: Cluster) -> bool:
    """Whether initdb completed, as far as files show."""
    return (
        host.stat(f"{cluster.data}/global/pg_control") is not None and len(_numbers(host, cluster)) >= FIRST_DATABASES
    )


def _numbers(host: Reader, cluster: Cluster) -> list[int]:
    """The object numbers of the databases that have files."""
    return [int(name) for name in host.listdir(f"{cluster.data}/base") if name.isdigit()]


def _holds_data(host: Reader, cluster: Cluster) -> bool:
    """Whether files suggest data: a complete cluster that was started, a user's database, or a restored backup."""
    if any(host.stat(f"{cluster.data}/{trace}") for trace in ("backup_label", "standby.signal", "recovery.signal")):
        return True
    if any(number >= FIRST_USER_OID for number in _numbers(host, cluster)) or host.listdir(f"{cluster.data}/pg_tblspc"):
        return True
    return _is_made(host, cluster) and host.stat(f"{cluster.data}/postmaster.opts") is not None


def _is_hollow(host: Reader, cluster: Cluster) -> bool:
    """Whether a server runs on an interrupted initdb, without the database postgres, and was never used."""
    try:
        read_state(host, cluster.name)
    except Failure as failure:
        if 'database "postgres" does not exist' not in failure.detail:
            raise
        contents = ask(host, cluster, _USED, "template1")
        if contents["whole"] or contents["used"]:
            raise
        return True
    return False
