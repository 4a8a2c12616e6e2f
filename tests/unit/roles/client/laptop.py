"""The real agent's door, with a home directory of the test's own and its notes kept."""

from __future__ import annotations

from encamp.agent.system import Host
from encamp.resources.base import Change, Resource


class Laptop(Host):
    """This machine as a user whose home is ``home``. ``notes`` holds what the operator was told."""

    def __init__(self, home: str, want_diff: bool = False) -> None:
        super().__init__(lambda blob: b"", self._hear, want_diff)
        self._home = home
        self.notes: list[str] = []

    def _hear(self, kind: str, text: str, *_: object) -> None:
        if kind == "note":
            self.notes.append(text)

    @property
    def home(self) -> str:
        return self._home

    @property
    def is_root(self) -> bool:
        return False


def converge(resource: Resource, host: Laptop) -> list[Change]:
    """Check, apply, and check again as the agent's loop does. Returns what differed."""
    host.forget()
    changes = resource.check(host)
    if changes:
        resource.apply(host, changes)
        host.forget()
        assert resource.check(host) == []
    return changes
