"""Removes encamp's rules from pg_hba.conf that are no longer declared."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.postgres import hba_file
from encamp.resources.postgres.hba_rule import load, locate, replace, waits_for_reload
from encamp.resources.postgres.state import read_state
from encamp.resources.system import Reader, System


@kind
class PostgresHbaOnly(Resource):
    """Of the rules in encamp's block of pg_hba.conf whose names begin with ``prefix``, only those in ``names`` stay.

    So a client that left the inventory loses access; its open connections stay open. Foreign rules, and encamp's with
    another prefix, stay. ``cluster``: the cluster's name.
    """

    prefix: str
    names: tuple[str, ...] = ()
    cluster: str = "main"

    def check(self, host: Reader) -> list[Change]:
        state = read_state(host, self.cluster)
        if state is None:
            return []
        path, _, block = locate(host, state)
        changes = [
            Change("rule", line.decode("utf-8", "replace"), "removed")
            for name, line in block.rules.items()
            if self._is_stale(name)
        ]
        pending = not changes and waits_for_reload(host, state, path)
        return [Change("reload", "pending", "done")] if pending else changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        state = read_state(host, self.cluster)
        if state is None:
            return
        path, data, block = locate(host, state)
        after = hba_file.without_rules(data, [name for name in block.rules if self._is_stale(name)])
        if after != data:
            replace(host, path, after)
        load(host, self.cluster, path)

    def _is_stale(self, name: str) -> bool:
        return name.startswith(self.prefix) and name not in self.names
