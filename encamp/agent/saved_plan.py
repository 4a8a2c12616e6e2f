"""A saved plan on the host: what each step found, as a keyed hash, and whether that is still so.

Travels only with jobs that make or apply a saved plan. The key is that plan's own: a hash without it, of a file that
holds a short password, would tell the password to whoever has the plan and patience.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Mapping, Optional, Sequence

from encamp.resources.base import Change, Failure
from encamp.resources.system import Reader
from encamp.shared.record import record

#: Lines of a refusal that name steps.
SHOWN = 12


@record
class Found:
    """What a step found: its status, what differed, and the hash of the file that it is named after, if it is one."""

    status: str
    changes: tuple[tuple[str, str, str, str], ...] = ()
    content: str = ""

    @property
    def aspects(self) -> set[str]:
        return {change[0] for change in self.changes}


class Guard:
    """Notes what the steps of a check find, and permits changes that are the planned ones.

    ``data`` is ``{"key": secret, "expected": {step: [status, hash]}}``; without ``expected`` a plan is being made.
    """

    def __init__(self, data: Mapping[str, Any], host: Reader) -> None:
        self._key: bytes = data["key"]["$secret"].encode()
        self._expected: Optional[Mapping[str, Sequence[str]]] = data.get("expected")
        self._host = host
        self._seen: dict[str, Found] = {}

    def found(self, step_id: str, status: str, changes: Sequence[Change]) -> str:
        """Note what a step of a check found. Returns its keyed hash; empty unless something would change."""
        self._seen[step_id] = seen = self._look(step_id, status, changes)
        return self._hash(seen)

    def moved(self) -> Optional[dict[str, str]]:
        """How the host differs from what the plan found, as the fields of a failure; None where it does not."""
        if self._expected is None:
            return None
        lines = [text for step in {**self._expected, **self._seen} for text in self._difference(step)]
        if not lines:
            return None
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        return {
            "step": "saved plan",
            "reason": "the host has moved on since the plan was made; nothing was changed",
            "cause": "another run, a person or a program changed it",
            "fix": "make a new plan with `fab deploy --plan FILE`, review it, and apply that one",
            "detail": "\n".join(lines[:SHOWN] + more),
        }

    def permit(self, step_id: str, changes: Sequence[Change], after_own: bool) -> None:
        """Right before a step changes the host. Raises Failure unless it is the change that was planned.

        ``after_own``: this run has changed the host before. What an earlier step makes (a package its files) may read
        otherwise then, but no aspect may differ that the plan does not name, nor the file that the step is about.
        """
        planned = self._seen.get(step_id, Found("not due"))
        if planned.status == "unknown":
            return
        now = self._look(step_id, "changed", changes)
        if now == planned:
            return
        same_file = now.content == planned.content or not planned.content
        if planned.status == "changed" and after_own and now.aspects <= planned.aspects and same_file:
            return
        raise Failure(
            "this is not what the plan found here, so it was left as it is: "
            + "; ".join(str(change) for change in changes),
            f"the plan says: {'; '.join(map(_text, planned.changes)) or planned.status}",
            "see who else changes this host, then make a new plan with `fab deploy --plan FILE`",
        )

    def _look(self, step_id: str, status: str, changes: Sequence[Change]) -> Found:
        if status != "changed":
            return Found(status)
        told = tuple((change.what, change.before, change.after, change.diff) for change in changes)
        return Found(status, told, self._content(step_id.partition(":")[2]))

    def _content(self, path: str) -> str:
        """The hash of a file; empty for what is none. Stays on the host."""
        stat = self._host.stat(path) if path.startswith("/") else None
        if stat is None or stat.kind != "file":
            return ""
        return hashlib.sha256(self._host.read(path) or b"").hexdigest()

    def _hash(self, seen: Found) -> str:
        if seen.status != "changed":
            return ""
        text = json.dumps([seen.changes, seen.content], separators=(",", ":"))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def _difference(self, step_id: str) -> list[str]:
        """A line for a step that is not as planned. What was unknown may turn out to be anything."""
        status, digest = (self._expected or {}).get(step_id, ("not due", ""))
        now = self._seen.get(step_id, Found("not due"))
        if status == "unknown" or (status, digest) == (now.status, self._hash(now)):
            return []
        if status == now.status:
            return [f"{step_id}: what it would change reads otherwise now"]
        words = {"ok": "in order", "changed": "to be changed"}
        return [f"{step_id}: was {words.get(status, status)}, is {words.get(now.status, now.status)}"]


def _text(change: Sequence[str]) -> str:
    return str(Change(*change[:3]))
