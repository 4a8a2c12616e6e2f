"""The job that one agent carries out: a host's plan, and how it is carried out."""

from __future__ import annotations

from typing import Any

from encamp.planning.plan import HostPlan, resource_wire, step_wire
from encamp.shared.record import record
from encamp.shared.wire import PROTOCOL, BlobStore, to_wire


@record
class RunIdentity:
    """Which run this is: its id, command and version of encamp, who started it, on which machine, and when (ISO 8601).

    Hosts keep it with their lock and in their history.
    """

    id: str
    command: str
    version: str = ""
    who: str = ""
    machine: str = ""
    started: str = ""

    def wire(self) -> dict[str, str]:
        """As JSON data."""
        return {
            "id": self.id,
            "command": self.command,
            "version": self.version,
            "who": self.who,
            "from": self.machine,
            "started": self.started,
        }


@record
class Job:
    """What one agent carries out. ``check``: change nothing; ``diff``: show contents.

    ``wait``: seconds to wait for the host's lock; ``step_timeout``: seconds that a step may take. 0: none.
    """

    plan: HostPlan
    run: RunIdentity
    check: bool = False
    diff: bool = False
    wait: int = 0
    step_timeout: float = 0

    def wire(self, store: BlobStore) -> dict[str, Any]:
        """As JSON data. Long content goes into ``store`` and travels as a hash."""
        plan, run = self.plan, self.run.wire()
        job: dict[str, Any] = {
            "protocol": PROTOCOL,
            "run": run if plan.saved is None else {**run, "plan": plan.saved["id"]},
            "check": self.check,
            "diff": self.diff,
            "steps": [step_wire(item, store) for item in plan.items],
            "handlers": {handler.id: resource_wire(handler, store) for handler in plan.handlers},
            "keep": not self.check,
        }
        job |= {} if plan.saved is None else {"plan": to_wire(plan.saved)}
        job |= {"step_timeout": self.step_timeout} if self.step_timeout else {}
        return {**job, "wait": self.wait} if self.wait else job
