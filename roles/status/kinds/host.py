"""What encamp did on a host last, and the Postgres that it keeps for servers elsewhere."""

from __future__ import annotations

import json
import time
from typing import Any, Iterator, Mapping, Optional

from encamp.resources.base import kind
from encamp.resources.postgres import layout
from encamp.resources.probes.audit_trail import AuditTrail
from encamp.resources.system import Reader
from encamp.shared.record import record
from roles.doctor.kinds.disk import check_disk
from roles.doctor.kinds.doctor import Doctor, Found, start_report
from roles.doctor.kinds.findings import Check, Finding, examine, fail, ok, warn
from roles.doctor.kinds.server import postgres

#: As the agent's journal names it, for root.
LOCK = "/run/encamp.lock"


@kind
class HostStatus(Doctor):
    """Reports a host's last deploy, by its audit trail. Changes nothing.

    ``name`` is what the host is called in the report. ``cluster``: the Postgres cluster that it keeps for servers on
    other hosts; empty: none.
    """

    name: str = "host"
    cluster: str = ""
    fix: bool = False

    @property
    def subject(self) -> str:
        return self.name

    def examine(self, host: Reader) -> Found:
        subject = HostSubject(host, self.cluster)
        start_report(host, self.subject, _verdict(last_deploy(host)))
        return examine(host, subject, self.subject, CHECKS, lambda subject, name, finding: None)


@record
class HostSubject:
    """A host, and the name of the cluster on it."""

    host: Reader
    cluster: str


def last_deploy(host: Reader) -> Optional[Mapping[str, Any]]:
    """The last deploy that changed this host: what began it, and ``outcome`` and ``failed`` of its end, if it had one.

    The file is read as AuditTrail reads it.
    """
    begun: dict[str, dict[str, Any]] = {}
    for entry in _entries(host):
        if entry.get("event") == "begin" and entry.get("command") == "deploy":
            begun[str(entry.get("id"))] = dict(entry)
        elif entry.get("event") == "end" and str(entry.get("id")) in begun:
            begun[str(entry["id"])].update(outcome=entry.get("outcome"), failed=entry.get("failed", ""))
    return list(begun.values())[-1] if begun else None


def _entries(host: Reader) -> Iterator[dict[str, Any]]:
    path = AuditTrail.path
    for line in ((host.read(f"{path}.1") or b"") + (host.read(path) or b"")).decode("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # cut off by a crash
            continue
        if isinstance(entry, dict):
            yield entry


def _verdict(run: Optional[Mapping[str, Any]]) -> str:
    if run is None:
        return "no deploy has changed it yet"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(run.get("time") or 0)))
    return f"last changed by a deploy on {when}, by {run.get('who')} from {run.get('from')}"


def check_deploy(subject: HostSubject) -> Optional[Finding]:
    """The last deploy went well."""
    run = last_deploy(subject.host)
    if run is None or run.get("outcome") == "ok":
        return None
    if not run.get("outcome") and _is_under_way(subject.host, str(run.get("id"))):
        return ok("a deploy is under way")
    at = f" at {run['failed']}" if run.get("failed") else ""
    how = f"ended with `{run['outcome']}`{at}" if run.get("outcome") else "was interrupted"
    return warn(f"the last deploy {how}", "", "run `fab deploy` for this host again: it continues")


def _is_under_way(host: Reader, run: str) -> bool:
    """Whether the run of this id goes on: it is named in the lock's file, by a process that lives."""
    try:
        holder = json.loads(host.read(LOCK) or b"{}")
    except ValueError:  # its holder is just writing it
        return False
    alive = isinstance(holder, dict) and host.stat(f"/proc/{holder.get('pid', 0)}") is not None
    return alive and str(holder.get("id")) == run


def _check_cluster(subject: HostSubject) -> Optional[Finding]:
    """The cluster for other hosts runs."""
    if not subject.cluster:
        return None
    cluster = layout.find(subject.host, subject.cluster)
    if cluster is None:
        return fail(f"there is no Postgres cluster {subject.cluster}", "", "run `fab deploy` for this host")
    if postgres.stopped_cluster(subject.host, subject.cluster):
        return fail(f"Postgres {cluster.label} is {cluster.status}", *postgres.why(subject.host, cluster))
    return ok(f"Postgres {cluster.label} runs on port {cluster.port}")


def _check_room(subject: HostSubject) -> Optional[Finding]:
    cluster = layout.find(subject.host, subject.cluster) if subject.cluster else None
    return check_disk(["/", cluster.data]) if cluster else None


CHECKS = (
    Check("deploy", check_deploy),
    Check("Postgres", _check_cluster),
    Check("disk", _check_room),
)
