"""What to say where something stands in the place of a server: an unfinished takeover, or a server set up by hand."""

from __future__ import annotations

from typing import Optional

from encamp.resources.base import Failure, Refused
from encamp.resources.system import Reader
from roles.adopt.kinds.adoption import OPEN, adoption_of
from roles.adopt.kinds.found import FoundServer, found_servers
from roles.adopt.kinds.obstacles import stop_command


def refuse_open(host: Reader, instance: str, name: str) -> None:
    """Raise Refused for a takeover that is not finished: without its step in the plan it would end by its timer, which
    starts the old server again. ``name``: what the inventory calls the host."""
    adoption = adoption_of(host, instance)
    if adoption and adoption.state in OPEN:
        raise Refused(
            f"{adoption.name} is not taken over yet (state {adoption.state}), and the inventory no longer says "
            f"adopt: {adoption.name}",
            "adopt: may be removed when a deploy has ended well",
            f"set adopt: {adoption.name} again and deploy; or `fab -H {name} adopt --undo`, which starts it again",
        )


def explained(host: Reader, refused: Refused, unit: str, port: int, name: str) -> Refused:
    """The refusal of a ``unit`` or ``port``, with what a hand-made server that has it is, and what it holds."""
    found = _hand_made(host, unit, port)
    if found is None:
        return refused
    stop = stop_command(host, found)
    here = f"stop it for good (`{stop}` stops it now)" if stop else "move its unit away"
    return Refused(
        f"{refused.reason}. It is a Prefect server that encamp did not set up: {found}",
        refused.cause,
        f"`fab -H {name} adopt` continues it with its data; else {here}, or give the declared one another port: and "
        "name (an instance of its own, instances:)",
    )


def _hand_made(host: Reader, unit: str, port: int) -> Optional[FoundServer]:
    """The server in this place; None for anything but one of Prefect."""
    try:
        servers = found_servers(host)
    except Failure:
        return None  # the refusal itself says enough
    by_unit = [each for each in servers if each.name == unit]
    by_port = [each for each in servers if each.running and each.port == port]
    return next(iter([*by_unit, *by_port]), None)
