"""What to say where something stands in the place of a server: an unfinished takeover, or a server set up by hand."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Failure, Refused
from encamp.resources.system import Reader
from encamp.resources.systemd import owners
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


def explain_unit(host: Reader, unit: str, name: str) -> None:
    """Have the refusal of the owner's ``unit`` say what server it runs, where it runs one."""
    found = next((each for each in _servers(host) if each.name == unit), None)
    if found:
        owners.explain(host, unit, *_words(host, found, name))


def explained(host: Reader, refused: Refused, port: int, name: str) -> Refused:
    """The refusal of a ``port``, with what a hand-made server that has it is, and what it holds."""
    found = next((each for each in _servers(host) if each.running and each.port == port), None)
    if found is None:
        return refused
    what, fix = _words(host, found, name)
    return Refused(f"{refused.reason}. {what}", refused.cause, fix)


def _words(host: Reader, found: FoundServer, name: str) -> tuple[str, str]:
    """What a server is, and what its owner can do."""
    stop = stop_command(host, found)
    here = f"stop it for good (`{stop}` stops it now)" if stop else "move its unit away"
    return (
        f"It is a Prefect server that encamp did not set up: {found}",
        f"`fab -H {name} adopt` continues it with its data; else {here}, or give the declared one another port: and "
        "name (an instance of its own, instances:)",
    )


def _servers(host: Reader) -> Sequence[FoundServer]:
    """None where they cannot be looked at: the refusal itself says enough."""
    try:
        return found_servers(host)
    except Failure:
        return ()
