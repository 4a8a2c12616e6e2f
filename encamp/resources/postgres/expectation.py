"""Requirements of an existing Postgres, checked before anything on its host changes."""

from __future__ import annotations

from typing import ClassVar, Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.postgres import layout
from encamp.resources.postgres.state import State, read_state
from encamp.resources.probes.free_port import port_holder
from encamp.resources.system import Reader, System


@kind
class PostgresExpectation(Resource):
    """An existing cluster has the port that its clients use, and enough connections for them. Changes nothing.

    ``cluster``: its name. A missing one can be created: there are no others, and its port is free. ``port``: the
    clients' port (0: any). ``connections``: the most connections they may open at once. ``raised_to``: the
    max_connections that the deploy is going to set (0: unchanged). Raises Refused.
    """

    waits: ClassVar[bool] = True

    cluster: str = "main"
    port: int = 0
    connections: int = 0
    raised_to: int = 0

    def check(self, host: Reader) -> list[Change]:
        cluster = layout.find(host, self.cluster)
        if cluster is None:
            self._require_place(host)
            return []
        if self.port and cluster.port != self.port:
            raise Refused(
                f"the Postgres cluster {cluster.label} has port {cluster.port}, but its clients use {self.port}",
                "it existed before encamp, or its port was changed",
                f"set postgres_port: {cluster.port} for this host",
            )
        state = read_state(host, self.cluster) if cluster.running else None
        if state is not None:
            self._require_room(state)
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")

    def _require_place(self, host: Reader) -> None:
        """Raise Refused if the cluster cannot be created here, or not with its port."""
        layout.refuse_others(host, self.cluster)
        port = self.port or layout.DEFAULT_PORT
        holder = port_holder(host, port)
        if holder:
            raise Refused(
                f"port {port}, on which encamp would create Postgres, is in use by {holder}",
                "Postgres would get another port, and its clients would not find it",
                "set postgres_port: to a free port for this host, or stop that program. If it is a Postgres that "
                "encamp does not manage, such as one in a container, set database_url: instead",
            )

    def _require_room(self, state: State) -> None:
        kept = reserved(state)
        limit = max(int(state.settings["max_connections"]), self.raised_to)
        if self.connections > limit - kept:
            raise Refused(
                f"max_connections = {limit} of the Postgres cluster {state.cluster.label}, of which {kept} are for "
                f"superusers only, is too low for the {self.connections} connections that Prefect's processes may open",
                "each process may open its whole pool and its overflow",
                f"set postgres_max_connections: {self.connections + kept} or more for this host (Postgres restarts), "
                "or lower database_pool_size and database_max_overflow",
            )


def reserved(state: State) -> int:
    """Connections that only superusers (and, from Postgres 16 on, a role made for it) can have."""
    names = ("superuser_reserved_connections", "reserved_connections")
    return sum(int(state.settings.get(name) or 0) for name in names)
