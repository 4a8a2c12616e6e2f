"""A running Postgres cluster."""

from __future__ import annotations

from typing import Optional, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.postgres import initdb as setup
from encamp.resources.postgres import layout, unfinished
from encamp.resources.postgres.layout import Cluster
from encamp.resources.postgres.state import read_state
from encamp.resources.system import Reader, System


@kind
class PostgresCluster(Resource):
    """A cluster that runs and starts at boot, of the major version that the distribution brings.

    An existing one is used, whatever its version (the one on port 5432 where there are several); only where there is
    none one is made. Nothing is ever dropped. ``listen_addresses`` (None: leave; empty: the Unix socket only) and
    ``port`` (0: leave) are set with ALTER SYSTEM and cost a restart. On RHEL (untested) the name must be main.
    """

    name: str = "main"
    listen_addresses: Optional[tuple[str, ...]] = None
    port: int = 0

    def check(self, host: Reader) -> list[Change]:
        cluster = layout.find(host, self.name)
        if cluster is None:
            self._require_none(host)
            return [Change("cluster", "absent", "running")]
        if unfinished.is_unfinished(host, cluster):
            return [Change("cluster", "left unfinished", "running")]
        changes = []
        if not cluster.running:
            changes.append(Change("service", cluster.status, "running"))
        if not setup.starts_at_boot(host, cluster):
            changes.append(Change("boot", "disabled", "enabled"))
        return changes + (self._settings(host) if cluster.running else [])

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        self._bring_up(host)
        if unfinished.is_unfinished(host, self._found(host)):
            self._bring_up(host)  # only a running server tells that it is hollow
        self._apply_settings(host)

    def _bring_up(self, host: System) -> None:
        """Make the cluster where there is no whole one, and start it."""
        cluster = layout.find(host, self.name)
        if cluster is not None and unfinished.is_unfinished(host, cluster):
            unfinished.move_aside(host, cluster)
            cluster = None
        if cluster is None:
            setup.create(host, self.name)
            cluster = self._found(host)
        setup.enable(host, cluster)
        if not cluster.running:
            from encamp.resources.postgres import restart

            restart.start(host, cluster)

    def _found(self, host: Reader) -> Cluster:
        cluster = layout.find(host, self.name)
        if cluster is None:
            raise Failure(f"the Postgres cluster {self.name} was made and cannot be found", "this is a bug of encamp")
        return cluster

    def _require_none(self, host: Reader) -> None:
        """Raise Refused where making a cluster would put a second one beside the site's own."""
        others = layout.clusters(host)
        if others:
            labels = ", ".join(other.label for other in others)
            raise Refused(
                f"this host has the Postgres cluster {labels} but none called {self.name}",
                "encamp makes no second cluster beside an existing one",
                f"declare that one (name: {others[-1].name}), or make {self.name} by hand with pg_createcluster",
            )

    # -- settings -----------------------------------------------------------------------------------------------

    def _settings(self, host: Reader) -> list[Change]:
        """The declared settings that the running server does not have."""
        if self.listen_addresses is None and not self.port:
            return []
        state = read_state(host, self.name)
        settings = state.settings if state else {}
        changes = []
        if self.listen_addresses is not None:
            now = [word.strip() for word in settings.get("listen_addresses", "").split(",") if word.strip()]
            if now != list(self.listen_addresses):
                changes.append(Change("listen_addresses", ", ".join(now) or "none", ", ".join(self.listen_addresses)))
        if self.port and settings.get("port") != str(self.port):
            changes.append(Change("port", settings.get("port", ""), str(self.port)))
        return changes

    def _apply_settings(self, host: System) -> None:
        changes = self._settings(host)
        if changes:
            from encamp.resources.postgres import restart

            self._require_free_port(host)
            restart.alter(host, self.name, changes)

    def _require_free_port(self, host: Reader) -> None:
        for other in layout.clusters(host):
            if other.name != self.name and other.port == self.port:
                raise Refused(f"the Postgres cluster {other.label} has port {self.port}", fix="choose another port")
