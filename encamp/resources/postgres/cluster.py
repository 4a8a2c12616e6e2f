"""A running Postgres cluster."""

from __future__ import annotations

from typing import Optional, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.postgres import boot, layout, unfinished
from encamp.resources.postgres.layout import Cluster
from encamp.resources.postgres.state import read_state
from encamp.resources.system import Reader, System


@kind
class PostgresCluster(Resource):
    """A cluster that runs and starts at boot, of the distribution's major version.

    An existing cluster of any version is used (of several, the one on port 5432); a new one is created only if there is
    none: a host that has clusters of other names only is refused. Nothing is ever dropped. ``listen_addresses`` (None:
    unchanged; empty: Unix socket only) and ``port`` (0: unchanged) are set with ALTER SYSTEM and require a restart. On
    RHEL the name must be main.
    """

    name: str = "main"
    listen_addresses: Optional[tuple[str, ...]] = None
    port: int = 0

    def refuse(self, host: Reader) -> None:
        if layout.find(host, self.name) is None:
            layout.refuse_others(host, self.name)

    def check(self, host: Reader) -> list[Change]:
        cluster = layout.find(host, self.name)
        if cluster is None:
            layout.refuse_others(host, self.name)
            return [Change("cluster", "absent", "running")]
        if unfinished.is_unfinished(host, cluster):
            return [Change("cluster", "incomplete", "running")]
        changes = []
        if not cluster.running:
            changes.append(Change("service", cluster.status, "running"))
        if not boot.starts_at_boot(host, cluster):
            changes.append(Change("boot", "disabled", "enabled"))
        return changes + (self._settings(host) if cluster.running else [])

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        self._bring_up(host)
        if unfinished.is_unfinished(host, self._require_cluster(host)):
            self._bring_up(host)  # shows only in a running server
        self._apply_settings(host)

    def _bring_up(self, host: System) -> None:
        """Create the cluster unless a complete one exists, and start it."""
        from encamp.resources.postgres import initdb

        cluster = layout.find(host, self.name)
        if cluster is not None and unfinished.is_unfinished(host, cluster):
            unfinished.move_aside(host, cluster)
            cluster = None
        if cluster is None:
            initdb.create(host, self.name)
            cluster = self._require_cluster(host)
        initdb.enable(host, cluster)
        if not cluster.running:
            from encamp.resources.postgres import restart

            restart.start(host, cluster)

    def _require_cluster(self, host: Reader) -> Cluster:
        cluster = layout.find(host, self.name)
        if cluster is None:
            raise Failure(f"the Postgres cluster {self.name} was created but cannot be found", "a bug in encamp")
        return cluster

    # -- settings -----------------------------------------------------------------------------------------------

    def _settings(self, host: Reader) -> list[Change]:
        """The declared settings that the running server lacks."""
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
                raise Refused(
                    f"the Postgres cluster {other.label} already uses port {self.port}", fix="choose another port"
                )
