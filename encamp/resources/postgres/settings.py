"""Settings of a Postgres server that serves clients on other hosts."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.postgres.state import State, read_state
from encamp.resources.system import Reader, System

EVERYWHERE = "*"


@kind
class PostgresSettings(Resource):
    """Listen addresses and max_connections of a cluster: added or raised if too few, never removed or lowered.

    ``cluster``: its name. ``listen``: additional addresses to listen on (``*``: all). ``max_connections``: the minimum
    (0: unchanged). Both are set with ALTER SYSTEM and require a restart of the server, with all its databases. If it
    does not start, the old settings are restored.
    """

    cluster: str = "main"
    listen: tuple[str, ...] = ()
    max_connections: int = 0

    def check(self, host: Reader) -> list[Change]:
        state = read_state(host, self.cluster)
        if state is None:
            return [Change("listen_addresses", "no cluster yet", ", ".join(self.listen))] if self.listen else []
        return self._differing(state)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        state = read_state(host, self.cluster)
        if state is None:
            raise Failure(f"Postgres cluster {self.cluster} does not exist on this host")
        from encamp.resources.postgres import restart

        restart.alter(host, self.cluster, self._differing(state))

    def _differing(self, state: State) -> list[Change]:
        changes = []
        now = addresses(state.settings["listen_addresses"])
        if EVERYWHERE not in now and not set(self.listen) <= set(now):
            wanted = [EVERYWHERE] if EVERYWHERE in self.listen else list(dict.fromkeys([*now, *self.listen]))
            changes.append(Change("listen_addresses", ", ".join(now) or "none", ", ".join(wanted)))
        limit = int(state.settings["max_connections"])
        if limit < self.max_connections:
            changes.append(Change("max_connections", str(limit), str(self.max_connections)))
        return changes


def addresses(setting: str) -> list[str]:
    """The addresses in a value of ``listen_addresses``."""
    return [word.strip() for word in setting.split(",") if word.strip()]
