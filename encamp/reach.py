"""How each host of a run is reached and who its agent runs as."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal, Protocol

from encamp.host import locate
from encamp.local import LocalLink
from encamp.settings import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.transport import Link, Remote

if TYPE_CHECKING:
    import fabric

    from encamp.site import Site, SiteHost

PASSWORD_VARIABLE = "ENCAMP_BECOME_PASSWORD"


@record
class Settings:
    """How encamp connects to a host. The login itself is set with Ansible's own ``ansible_*`` variables."""

    host_key_checking: Literal["strict", "accept-new"] = setting(
        "strict",
        "Refuse an unknown host key, or record it at the first contact. A changed key is always refused.",
        per_host=True,
    )
    known_hosts: str = setting("", "A known_hosts file of the project, read beside the user's own.", per_host=True)
    connect_timeout: int = setting(10, "Seconds to wait for a TCP connection.", minimum=1, per_host=True)
    connect_tries: int = setting(3, "How often to try a connection that fails.", minimum=1, per_host=True)


class Reach(Protocol):
    """Opens links, and says how the agent is started at their end."""

    def open(self, host: str) -> Link: ...

    def remote(self, host: str) -> Remote: ...


class LocalReach:
    """This machine, as the user who runs encamp, without SSH."""

    def open(self, host: str) -> LocalLink:
        return LocalLink()

    def remote(self, host: str) -> Remote:
        return Remote(host, sys.executable, become=False)


class SshReach:
    """Hosts of a site over SSH. ``become`` None: as the inventory says (root unless told otherwise)."""

    def __init__(self, site: Site, config: fabric.Config, become: bool | None = None) -> None:
        self._site, self._config, self._become = site, config, become

    def open(self, host: str) -> Link:
        """Connect. Raises Unreachable."""
        from encamp.connection import Address, connect

        found = self._site.host(host)
        if found.inventory.local:
            return LocalLink()
        options = found.settings(Settings)
        return connect(
            Address(
                name=host,
                host=found.inventory.address,
                port=found.inventory.port,
                user=found.inventory.user,
                key_file=found.inventory.key_file,
                host_key_checking=options.host_key_checking,
                known_hosts=locate(options.known_hosts, found.inventory.directory) if options.known_hosts else "",
                timeout=options.connect_timeout,
                tries=options.connect_tries,
            ),
            self._config,
        )

    def remote(self, host: str) -> Remote:
        found = self._site.host(host)
        become = found.inventory.become if self._become is None else self._become
        return Remote(host, found.inventory.python, become and not self._is_root(found), self._password())

    def _is_root(self, host: SiteHost) -> bool:
        if host.inventory.local:
            return os.geteuid() == 0
        user = host.inventory.user or self._config.base_ssh_config.lookup(host.inventory.address).get("user")
        return bool(user == "root")

    def _password(self) -> Secret | None:
        given = os.environ.get(PASSWORD_VARIABLE) or self._config.sudo.password
        return Secret(given) if given else None
