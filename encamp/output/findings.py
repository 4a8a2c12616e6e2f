"""What the steps of a run found, kept for a saved plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encamp.output.listener import Listener
from encamp.output.outcome import Outcome


class Findings(Listener):
    """A listener that keeps, for each host, what its steps found: one mapping for each session, in their order."""

    def __init__(self) -> None:
        self._at_work: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._sessions: dict[str, list[dict[str, Mapping[str, Any]]]] = {}

    def event(self, host: str, event: dict[str, Any]) -> None:
        if event["event"] == "step":
            self._at_work.setdefault(host, {})[event["step"]] = event

    def ended(self, outcome: Outcome) -> None:
        self._sessions.setdefault(outcome.host, []).append(self._at_work.pop(outcome.host, {}))

    def next_of(self, host: str) -> Mapping[str, Mapping[str, Any]]:
        """The events of a host's next session, by step."""
        return self._sessions[host].pop(0)
