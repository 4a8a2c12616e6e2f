"""What encamp has changed on a host so far."""

from __future__ import annotations

import json
import time
from typing import Any, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System


@kind
class AuditTrail(Resource):
    """The audit trail of the host as notes: who changed what, from where, when, and how it ended.

    ``path``: the file. ``last``: the number of runs to show, the latest.
    """

    path: str = "/var/log/encamp/audit.jsonl"
    last: int = 20

    def check(self, host: Reader) -> list[Change]:
        runs = describe_runs((host.read(f"{self.path}.1") or b"") + (host.read(self.path) or b""))
        for line in runs[-self.last :]:
            host.note(line)
        if not runs:
            host.note("encamp has not changed this host yet")
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an audit trail is only read")


def describe_runs(raw: bytes) -> list[str]:
    """The runs of a trail in words, oldest first. Truncated lines are skipped."""
    begun: dict[str, dict[str, Any]] = {}
    ended: dict[str, dict[str, Any]] = {}
    for line in raw.decode("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "id" in entry:
            (begun if entry.get("event") == "begin" else ended)[str(entry["id"])] = entry
    return [_sentence(run, ended.get(name)) for name, run in begun.items()]


def _sentence(run: dict[str, Any], end: dict[str, Any] | None) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(run.get("time", 0)))
    who = f"{run.get('command')} by {run.get('who')} from {run.get('from')} (encamp {run.get('version')})"
    if end is None:
        return f"{when}  {who}: interrupted"
    failed = f" at {end['failed']}" if end.get("failed") else ""
    changed = end.get("changed", [])
    return f"{when}  {who}: {end.get('outcome')}{failed}, changed {len(changed)}: {', '.join(changed)}".rstrip(": ")
