"""The units that a server needs beside its own: Postgres, the proxy before it, Docker."""

from __future__ import annotations

from typing import Callable, Iterator, Optional

from encamp.resources.caddy import paths as caddy
from encamp.resources.postgres import layout
from encamp.resources.systemd.unit_state import unit_state
from roles.doctor.kinds.findings import Finding, fail, ok
from roles.doctor.kinds.server.subject import ServerSubject

DOCKER = "docker.service"


def check(proxied: bool) -> Callable[[ServerSubject], Optional[Finding]]:
    """Every unit that the server needs runs. ``proxied``: a Caddy of this host is before it."""

    def run(subject: ServerSubject) -> Optional[Finding]:
        units = list(_units(subject, proxied))
        for unit in units:
            state = unit_state(subject.host, unit)
            if not state.active:
                start = "restart" if state.broken else "start"
                look = f"`systemctl {start} {unit}`; why: journalctl -u {unit} -e"
                return fail(f"{unit} is {state}", state.why(), look)
        return ok(f"{', '.join(units)} run{'s' if len(units) == 1 else ''}") if units else None

    return run


def _units(subject: ServerSubject, proxied: bool) -> Iterator[str]:
    cluster = layout.find(subject.host, subject.kind.cluster) if subject.kind.cluster else None
    if cluster:
        yield cluster.unit
    if proxied:
        yield caddy.UNIT
    if subject.kind.container:
        yield DOCKER
