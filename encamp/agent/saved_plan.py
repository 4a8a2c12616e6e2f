"""A saved plan on the host: what each step found, as a keyed hash, and whether that still holds.

Sent only with jobs that make or apply a saved plan. Each plan has its own key: from a hash without a key, a short
password in a file could be guessed by anyone who has the plan.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Mapping, Optional, Sequence

from encamp.resources.base import Change, Failure
from encamp.resources.system import Reader
from encamp.shared.record import record

#: How many steps a refusal lists.
SHOWN = 12


@record
class Observation:
    """What a step found: its status, its changes, and the hash of the file in its id, if any."""

    status: str
    changes: tuple[tuple[str, str, str, str], ...] = ()
    content: str = ""

    @property
    def aspects(self) -> set[str]:
        return {change[0] for change in self.changes}


class SavedPlanChecker:
    """Records what steps of a check find, and permits only the planned changes.

    ``data`` is ``{"key": secret, "expected": {step: [status, hash]}}``; without ``expected`` a plan is being made.
    """

    def __init__(self, data: Mapping[str, Any], host: Reader) -> None:
        self._key: bytes = data["key"]["$secret"].encode()
        self._expected: Optional[Mapping[str, Sequence[str]]] = data.get("expected")
        self._host = host
        self._seen: dict[str, Observation] = {}

    def observe(self, step_id: str, status: str, changes: Sequence[Change]) -> str:
        """Record what a step of a check found. Returns its keyed hash; empty unless something would change."""
        self._seen[step_id] = seen = self._observation(step_id, status, changes)
        return self._hash(seen)

    def drift(self) -> Optional[dict[str, str]]:
        """How the host differs from what the plan found, as the fields of a failure; None when it does not."""
        if self._expected is None:
            return None
        lines = [text for step in {**self._expected, **self._seen} for text in self._difference(step)]
        if not lines:
            return None
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        return {
            "step": "saved plan",
            "reason": "the host has changed since the plan was saved; nothing was applied",
            "cause": "another run, a person or a program changed the host",
            "fix": "make a new plan with `fab deploy --plan FILE`, review it, then apply it",
            "detail": "\n".join(lines[:SHOWN] + more),
        }

    def permit(self, step_id: str, changes: Sequence[Change], after_own: bool) -> None:
        """Called right before a step changes the host. Raises Failure unless that change was planned.

        ``after_own``: this run has already changed the host. The details may then differ (a package brings files), but
        the step may not change other aspects than planned, and its file must be the same.
        """
        planned = self._seen.get(step_id, Observation("not due"))
        if planned.status == "unknown":
            return
        now = self._observation(step_id, "changed", changes)
        if now == planned:
            return
        same_file = now.content == planned.content or not planned.content
        if planned.status == "changed" and after_own and now.aspects <= planned.aspects and same_file:
            return
        raise Failure(
            "not what the plan found on this host, so nothing was changed: "
            + "; ".join(str(change) for change in changes),
            f"the plan says: {'; '.join(map(_text, planned.changes)) or planned.status}",
            "find out what else changes this host, then make a new plan with `fab deploy --plan FILE`",
        )

    def _observation(self, step_id: str, status: str, changes: Sequence[Change]) -> Observation:
        if status != "changed":
            return Observation(status)
        shown = tuple((change.what, change.before, change.after, change.diff) for change in changes)
        return Observation(status, shown, self._content(step_id.partition(":")[2]))

    def _content(self, path: str) -> str:
        """The hash of a file; empty for anything else. It never leaves the host."""
        stat = self._host.stat(path) if path.startswith("/") else None
        if stat is None or stat.kind != "file":
            return ""
        return hashlib.sha256(self._host.read(path) or b"").hexdigest()

    def _hash(self, seen: Observation) -> str:
        if seen.status != "changed":
            return ""
        text = json.dumps([seen.changes, seen.content], separators=(",", ":"))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def _difference(self, step_id: str) -> list[str]:
        """A line for a step that is not as planned. A step that was unknown may have any result."""
        status, digest = (self._expected or {}).get(step_id, ("not due", ""))
        now = self._seen.get(step_id, Observation("not due"))
        if status == "unknown" or (status, digest) == (now.status, self._hash(now)):
            return []
        if status == now.status:
            return [f"{step_id}: its change differs from the planned one"]
        words = {"ok": "unchanged", "changed": "to be changed"}
        return [f"{step_id}: was {words.get(status, status)}, is {words.get(now.status, now.status)}"]


def _text(change: Sequence[str]) -> str:
    return str(Change(*change[:3]))
