"""An automation of a verification: an event triggers it, and both are read back.

Events are stored, and automations triggered, by services of the server's own: a flow run shows nothing of them.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from encamp.resources.system import Reader, System
from roles.prefect.kinds.api import Api, Problem
from roles.prefect.kinds.releases import older
from roles.proof.kinds.api import server_ahead
from roles.proof.kinds.services import PERSISTER, TRIGGERS, switched_on

#: The first servers with events and automations that need no experimental setting.
SINCE = "3.0"
EVENT = "encamp.proof"
FIRED = "prefect.automation.action."
#: Seconds that the services get (they store events in batches, every 5 s), and after which the event is sent again:
#: with 3.9.1 an event that comes within the first second of an automation does not trigger it.
PATIENCE, AGAIN = 30.0, 3.0
#: Prefect starts each of its services once (prefect/server/services/base.py of 3.9.1): one that failed is gone.
FIX = (
    "`fab -H SERVER restart` starts its services anew; `fab -H SERVER doctor` shows errors that repeat (check `errors`)"
)


class Automation:
    """The automation called ``name``, which does nothing but fire."""

    def __init__(self, api: Api, name: str) -> None:
        self._api, self._name = api, name
        self._resource = f"{EVENT}.{name}"
        self._id = ""
        self._ahead = self._sent = 0.0

    def create(self, host: Reader) -> None:
        """Create it on the server. Raises Failure."""
        trigger = {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": self._resource},
            "expect": [EVENT],
            "threshold": 1,
            "within": 0,
        }
        body = {"name": self._name, "trigger": trigger, "actions": [{"type": "do-nothing"}]}
        made = self._api.must(host, "POST", "automations/", body)
        self._id, self._ahead = str(made["id"]), server_ahead(made)

    def trigger(self, host: Reader) -> None:
        """Send the event that it waits for: some time after its creation, of which services learn a moment later."""
        self._sent = time.monotonic()
        occurred = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + self._ahead))
        resource = {"prefect.resource.id": self._resource}
        event = {"id": str(uuid.uuid4()), "occurred": occurred, "event": EVENT, "resource": resource}
        self._api.must(host, "POST", "events", [event])

    def prove(self, host: System, patience: float = PATIENCE) -> None:
        """Wait ``patience`` seconds until the server shows the event, and that the automation fired. Raises Failure."""
        seen: set[str] = set()

        def complete() -> bool:
            seen.update(self._seen(host))
            if "automation" not in seen and time.monotonic() - self._sent > AGAIN:
                self.trigger(host)
            return seen >= {"event", "automation"}

        if not host.wait_for(complete, patience):
            raise self._missing(seen, patience).failure()

    def _seen(self, host: Reader) -> set[str]:
        """What the server shows so far: ``event``, ``automation``."""
        query = {"filter": {"resource": {"id": [self._resource, f"prefect.automation.{self._id}"]}}}
        events: list[dict[str, Any]] = self._api.must(host, "POST", "events/filter", query)["events"]
        names = [str(event["event"]) for event in events]
        found = {"event": EVENT in names, "automation": any(name.startswith(FIRED) for name in names)}
        return {what for what, is_there in found.items() if is_there}

    def _missing(self, seen: set[str], patience: float) -> Problem:
        if "event" not in seen:
            return Problem(
                f"the server took an event, and did not show it within {patience:.0f} s",
                "its service that stores events fails or does not run: the UI shows no events",
                FIX,
            )
        return Problem(
            f"an event did not trigger its automation within {patience:.0f} s",
            "the server's service for triggers, or that for actions, fails or does not run",
            FIX,
        )


def impossible(host: Reader, api: Api) -> str:
    """Why nothing of events and automations can be shown; empty where it can."""
    version = str(api.must(host, "GET", "admin/version"))
    if older(version, SINCE):
        return f"Prefect {version} has none without experimental settings, {SINCE} does"
    if not switched_on(host, api, TRIGGERS, PERSISTER):
        return "the server's services for them are disabled (triggers, event_persister)"
    return ""
