"""What is connected to, and on which terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from encamp.shared.record import factory, record
from encamp.shared.secret import Secret
from encamp.ssh.config import Hop

#: How long a person may take to answer a server's question.
TYPING_SECONDS = 120


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
    """How a host is reached: its hops, jump hosts first. ``tries``: how often a connection that fails is tried.

    ``config_file`` stands for ``ssh -F``; ``options`` are arguments of ``ssh`` that the inventory gives for the host.
    """

    route: tuple[Hop, ...]
    policy: Policy
    tries: int = 3
    config_file: str = ""
    options: tuple[str, ...] = ()
