"""What the steps of a run found, kept for a saved plan."""

from __future__ import annotations

from collections.abc import Mapping

from encamp.output.listener import Listener
from encamp.output.outcome import Outcome
from encamp.transport.events import HostEvent, StepEvent


class Findings(Listener):
    """A listener that keeps, for each host, what its steps found: one mapping for each session, in their order."""

    def __init__(self) -> None:
        self._at_work: dict[str, dict[str, StepEvent]] = {}
        self._sessions: dict[str, list[dict[str, StepEvent]]] = {}

    def event(self, host: str, event: HostEvent) -> None:
        if event["event"] == "step":
            self._at_work.setdefault(host, {})[event["step"]] = event

    def ended(self, outcome: Outcome) -> None:
        self._sessions.setdefault(outcome.host, []).append(self._at_work.pop(outcome.host, {}))

    def next_of(self, host: str) -> Mapping[str, StepEvent]:
        """The events of a host's next session, by step."""
        return self._sessions[host].pop(0)
