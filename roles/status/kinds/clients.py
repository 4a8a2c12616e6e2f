"""The releases that the site gives its clients, against the one that the server runs."""

from __future__ import annotations

from typing import Callable, Optional, Sequence

from roles.doctor.kinds.findings import Finding, ok, warn
from roles.doctor.kinds.server.subject import ServerSubject
from roles.prefect.kinds.releases import DEPLOYMENTS, FLOW_RUNS, TASK_RUNS, mismatch

SHOWN = 3


def check(clients: Sequence[tuple[str, str]]) -> Callable[[ServerSubject], Optional[Finding]]:
    """Every declared client's release works with the server. ``clients``: (name, release)."""

    def run(subject: ServerSubject) -> Optional[Finding]:
        if not clients:
            return None
        server, auth = subject.server.version, subject.auth is not None
        found = [
            (name, version, mismatch(version, server, FLOW_RUNS, TASK_RUNS, DEPLOYMENTS, auth=auth))
            for name, version in clients
        ]
        wrong = [f"{name} has Prefect {version}: {why}" for name, version, why in found if why]
        if not wrong:
            return ok(f"{len(clients)} declared, their releases work with Prefect {server}")
        text = "; ".join(wrong[:SHOWN]) + (f" (and {len(wrong) - SHOWN} more)" if len(wrong) > SHOWN else "")
        return warn(text, f"the server runs Prefect {server}", "give them a release that works (prefect_version)")

    return run
