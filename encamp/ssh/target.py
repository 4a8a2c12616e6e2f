"""What is connected to, and on which terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from encamp.shared.record import factory, record
from encamp.shared.secret import Secret
from encamp.ssh.config import Hop


@record
class Policy:
    """What is asked of a host and what it is offered. Times are in seconds.

    ``known_hosts`` is the project's own file, empty for none; ``keys`` files that were named for this host,
    ``passphrases`` those of encrypted key files; ``ask`` answers a question of the server that a password does not,
    such as one for a code.
    """

    accept_new: bool = False
    known_hosts: str = ""
    keys: tuple[str, ...] = ()
    password: Secret | None = None
    passphrases: Mapping[str, Secret] = factory(dict)
    timeout: float = 10
    ask: Callable[[str, bool], str] | None = None


@record
class Address:
    """How a host is reached: its hops, jump hosts first. ``tries``: how often a connection that fails is tried."""

    route: tuple[Hop, ...]
    policy: Policy
    tries: int = 3
