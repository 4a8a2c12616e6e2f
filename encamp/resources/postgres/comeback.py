"""A cluster whose server was killed is started again by systemd: Debian's unit leaves it down."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.files.file import File
from encamp.resources.postgres import layout
from encamp.resources.postgres.layout import Cluster
from encamp.resources.system import Reader, System
from encamp.resources.systemd.owners import DIRECTORY
from encamp.resources.systemd.unit_state import unit_state

FILE = "encamp.conf"
#: systemd counts starts: at this pace it never reaches its limit (5 in 10 s), and tries for as long as it takes.
TEXT = """\
# Managed by encamp: changes made here are undone by the next deploy.
# A server that was killed (by the kernel for memory, by kill -9) comes back.
[Service]
Restart=on-failure
RestartSec=5
"""


@kind
class PostgresComeback(Resource):
    """A Postgres cluster that systemd starts again after it was killed or has crashed, by a drop-in of its unit.

    ``name``: the cluster's. It is not restarted for that. A unit that is restarted already, by its package or by the
    owner's drop-in, is left alone.
    """

    name: str

    def check(self, host: Reader) -> list[Change]:
        cluster = self._cluster(host)
        path = _path(cluster)
        if host.stat(path) is None and _restarts(host, cluster) != "no":
            return []
        changes = File(path, TEXT).check(host)
        if not changes and path not in unit_state(host, cluster.unit).drop_ins:
            changes.append(Change("loaded by systemd", "no", "yes"))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        cluster = self._cluster(host)
        path = _path(cluster)
        differs = [change for change in changes if change.what != "loaded by systemd"]
        if differs:
            host.mkdir(path.rpartition("/")[0])
            File(path, TEXT).apply(host, differs)
        host.run(["systemctl", "daemon-reload"])

    def _cluster(self, host: Reader) -> Cluster:
        cluster = layout.find(host, self.name)
        if cluster is None:
            raise Failure(f"there is no Postgres cluster {self.name} on this host")
        return cluster


def _path(cluster: Cluster) -> str:
    return f"{DIRECTORY}/{cluster.unit}.d/{FILE}"


def _restarts(host: Reader, cluster: Cluster) -> str:
    """When systemd restarts the unit, by its own word: no, on-failure, always."""
    return host.query(["systemctl", "show", "--property=Restart", "--value", "--", cluster.unit]).out.strip()
