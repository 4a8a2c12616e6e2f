"""What the doctor of a server is given: read by all of its checks."""

from __future__ import annotations

from typing import Any, Mapping

from encamp.resources.firewall.port import FirewallPort
from encamp.shared.record import factory, record


@record
class ServerFields:
    """A server to examine.

    ``name`` is its instance, ``unit`` its systemd unit, ``health`` the fields of the ServerHealth that a deploy checks,
    ``env_file`` the settings it reads, ``link`` its environment, ``user`` and ``home`` the account it runs as.
    ``server`` is the host's name for texts, ``started`` the controller's clock (seconds since the epoch), ``sources``
    are the networks that alone may reach it (none: all), ``openings`` its ports in the host's firewall, ``cluster`` is
    the name of the Postgres cluster on the same host that it uses. With ``fix`` a stopped or failed unit or cluster is
    started, and a unit that runs with outdated settings restarted.
    """

    name: str
    unit: str
    health: Mapping[str, Any] = factory(dict)
    env_file: str = ""
    link: str = ""
    user: str = ""
    home: str = ""
    server: str = "SERVER"
    started: float = 0
    sources: tuple[str, ...] = ()
    openings: tuple[FirewallPort, ...] = ()
    cluster: str = ""
    fix: bool = False

    @property
    def container(self) -> str:
        """The server's container; empty where it runs on the host itself."""
        return str(self.health.get("container", ""))
