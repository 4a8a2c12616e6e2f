"""Releases of Prefect: their order, values that count from a release on, and which clients fail with which servers."""

from __future__ import annotations

import re
from typing import Optional, Sequence, TypeVar

from encamp.shared.record import record

T = TypeVar("T")
#: Stands for a release that is not known: later than every one in the tables.
NEWEST = "999.0"
OLDEST = "0.0"
#: The first server with GET /api/ready.
READY_SINCE = "2.10.11"
#: The first client that can send user and password.
AUTH_SINCE = "3.1.8"
#: The first client that logs in on the WebSocket that takes events, and the first that sends its password in the
#: request for it, too, as proxies want it.
EVENTS_LOGIN_SINCE, EVENTS_HEADER_SINCE = "3.6.14", "3.8.3"
#: The first client that can send CSRF tokens.
CSRF_SINCE = "2.16.5"
#: What a client does with a server: a flow that a user starts; the task runs that the server then shows; a worker or
#: agent that runs deployments; making a deployment, by ``serve``, ``deploy`` or ``apply``.
FLOW_RUNS, TASK_RUNS, WORKERS, DEPLOYMENTS = "flow runs", "task runs", "workers", "deployments"
EVERYTHING = (FLOW_RUNS, TASK_RUNS, WORKERS, DEPLOYMENTS)


@record
class Mismatch:
    """Clients and servers of these releases do not work together: with what of EVERYTHING, and what is then seen.

    ``clients`` and ``servers`` are the first release and the first that is not meant. ``auth``: only where the server
    asks for user and password.
    """

    clients: tuple[str, str]
    servers: tuple[str, str]
    fails: tuple[str, ...]
    symptom: str
    auth: bool = False

    @property
    def remedy(self) -> str:
        """The first release that works, of the side that is too old."""
        if self.clients[1] != NEWEST:
            return f"install Prefect {self.clients[1]} or later for this client"
        return f"upgrade the server to Prefect {self.servers[1]} or later, or give this client the server's release"

    def __str__(self) -> str:
        lost = "nothing works" if self.fails == EVERYTHING else " and ".join(f"no {word}" for word in self.fails)
        return f"{lost}: {self.symptom}"


def _newer(first: str, fails: tuple[str, ...], symptom: str) -> Mismatch:
    """Clients from a release on fail with servers before it."""
    return Mismatch((first, NEWEST), (OLDEST, first), fails, symptom)


#: Each was seen to fail; the releases at the bounds were run, or are from the sources of both sides. The worst first.
MISMATCHES = (
    _newer("3.0", EVERYTHING, "clients refuse a server of an older generation (Found incompatible versions)"),
    _newer("3.1.5", EVERYTHING, "the server answers 422 to every new flow (extra_forbidden, labels)"),
    Mismatch(
        ("2.4.2", NEWEST),
        (OLDEST, "2.2"),
        EVERYTHING,
        "the server answers 422 to the block types that this client registers (version)",
    ),
    _newer("3.6.14", (TASK_RUNS, WORKERS), "the server closes the WebSocket for events when this client logs in"),
    _newer(
        "3.6.14", (DEPLOYMENTS,), "serve() exits: the server closes the WebSocket for events when this client logs in"
    ),
    Mismatch(
        (AUTH_SINCE, EVENTS_LOGIN_SINCE),
        (EVENTS_LOGIN_SINCE, NEWEST),
        (TASK_RUNS, WORKERS),
        "the server refuses the WebSocket for events (HTTP 403), on which clients log in since 3.6.14",
        auth=True,
    ),
    Mismatch(
        ("3.4.1", EVENTS_LOGIN_SINCE),
        (EVENTS_LOGIN_SINCE, NEWEST),
        (DEPLOYMENTS,),
        "serve() exits: the server refuses the WebSocket for events (HTTP 403), on which clients log in since 3.6.14",
        auth=True,
    ),
    Mismatch(
        (OLDEST, "3.0"),
        ("3.0", NEWEST),
        (DEPLOYMENTS,),
        "the server answers 422 to deployments of Prefect 2 (extra_forbidden, infra_overrides)",
    ),
    _newer("2.7.10", (WORKERS,), "the server answers 422 to agents that look for runs to cancel, and they exit"),
    _newer("2.3", (DEPLOYMENTS,), "the server answers 422 to the block types that this client registers (version)"),
    _newer(
        "2.1", (DEPLOYMENTS,), "the server answers 422 to deployments (extra fields not permitted, work_queue_name)"
    ),
    _newer("2.16", (DEPLOYMENTS,), "the server answers 422 to deployments (extra fields not permitted, schedules)"),
    _newer("3.4", (DEPLOYMENTS,), "the server answers 422 to deployments (extra_forbidden, version_info)"),
    _newer(
        "3.6.17", (DEPLOYMENTS,), "the server answers 422 to deployments with a schedule (extra_forbidden, replaces)"
    ),
)


def version_key(version: str) -> tuple[int, ...]:
    """A version to compare by: its leading numbers (3.8.8rc1 counts as 3.8.8)."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in numbers[0].split(".")] if numbers else [0]
    return tuple([*parts, 0, 0, 0][:3])


def older(one: str, other: str) -> bool:
    """Whether a release came before another."""
    return version_key(one) < version_key(other)


def since(table: Sequence[tuple[str, T]], version: str) -> T:
    """The value of the row that counts for a release (empty: the newest); the first where it is older than all."""
    found = table[0][1]
    for first, value in table:
        if not older(version or NEWEST, first):
            found = value
    return found


def mismatch(client: str, server: str, *work: str, auth: bool = False) -> Optional[Mismatch]:
    """The first row by which any of ``work``, of EVERYTHING, fails; None where all of it can be done."""
    for row in MISMATCHES:
        meant = _within(client, row.clients) and _within(server, row.servers) and (auth or not row.auth)
        if meant and set(work) & set(row.fails):
            return row
    return None


def _within(version: str, releases: tuple[str, str]) -> bool:
    first, end = releases
    return not older(version, first) and (older(version, end) or end == NEWEST)
