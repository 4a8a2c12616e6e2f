"""How each host of a run is reached and who its agent runs as."""

from __future__ import annotations

import copy
import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from encamp.errors import EncampError, InventoryError, Origin, SettingsError
from encamp.inventory.host import SSH_ARGS
from encamp.running import passwords
from encamp.secrets.vault.values import veiled
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from encamp.support.paths import locate
from encamp.transport.agent_exec import Link
from encamp.transport.launch import LaunchSpec
from encamp.transport.local import LocalLink

if TYPE_CHECKING:
    import fabric

    from encamp.ssh.config import Hop
    from encamp.ssh.config_files import Statement
    from encamp.ssh.target import Address

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V", str, SiteHost)
#: Takes host names and warnings about them.
Warn = Callable[[str, Sequence[str]], None]


@record
class Settings:
    """Connections.

    How encamp connects to a host. The login itself is set with Ansible's own ``ansible_*`` variables.
    """

    transport: Literal["auto", "paramiko", "openssh"] = setting(
        "auto",
        "What carries the connection: paramiko, or the system's ssh. auto: paramiko, and ssh for what paramiko cannot "
        "do, or where a ControlMaster of your ssh configuration is open; a note says why.",
        per_host=True,
    )
    host_key_checking: Literal["strict", "accept-new"] = setting(
        "strict",
        "Refuse an unknown host key, or record it at the first connection. A changed key is always refused.",
        per_host=True,
    )
    known_hosts: str = setting("", "A known_hosts file of the project, in addition to the user's own.", per_host=True)
    connect_timeout: int = setting(
        10,
        "Seconds to wait for a TCP connection. Default: ConnectTimeout of ~/.ssh/config, else 10.",
        minimum=1,
        per_host=True,
    )
    connect_tries: int = setting(
        3,
        "Number of attempts to connect. A busy sshd (MaxStartups) gets more attempts, unless this is 1.",
        minimum=1,
        per_host=True,
    )
    step_timeout: int = setting(
        3600,
        "Seconds that a step may take on the host; then it is stopped with all its processes. A step with its own "
        "longer time limit, such as waiting for flow runs, keeps that.",
        minimum=1,
        per_host=True,
    )
    bootstrap_python: bool = setting(
        False,
        "Install python3 with the host's package manager if it is missing. Not done with --check.",
        per_host=True,
    )
    key_passphrase: Secret | None = setting(
        None,
        "Passphrase of an encrypted private key that is not in ssh-agent. Default: ENCAMP_SSH_PASSPHRASE, or a prompt "
        "before the run.",
        per_host=True,
    )


class Connector(Protocol):
    """Opens links, and says how the agent is started at their end."""

    def open(self, host: str) -> Link: ...

    def launch_spec(self, host: str) -> LaunchSpec: ...

    def report_warnings(self, warn: Warn) -> None: ...


class LocalConnector:
    """This machine, as the user who runs encamp, without SSH."""

    def open(self, host: str) -> LocalLink:
        return LocalLink()

    def launch_spec(self, host: str) -> LaunchSpec:
        return LaunchSpec(host, sys.executable, become=False)

    def report_warnings(self, warn: Warn) -> None:
        """There is nothing to warn of."""


def _without_secrets(method: Callable[[SshConnector, V], T]) -> Callable[[SshConnector, V], T]:
    """A method whose errors repeat no secret that the inventory gives as address, user or key of the host."""

    @functools.wraps(method)
    def call(self: SshConnector, host: V) -> T:
        try:
            return method(self, host)
        except EncampError as error:
            found = host if isinstance(host, SiteHost) else self._site.host(host)
            secrets = found.inventory.secrets
            error.message, error.fix = veiled(error.message, secrets), veiled(error.fix, secrets)
            raise

    return call


class SshConnector:
    """Hosts of a site over SSH. ``become`` None: as the inventory says (default: root).

    ``hosts``: those that will be connected to. All that can be known of their connections is found out here, passwords
    and passphrases included, and ``warnings`` holds what of OpenSSH's configuration has no effect, and for which hosts.
    Raises InventoryError, SettingsError.
    """

    def __init__(
        self, site: Site, config: fabric.Config, become: bool | None = None, hosts: Iterable[str] = ()
    ) -> None:
        self._site, self._config, self._become = site, config, become
        self._passphrases = passwords.Passphrases(config)
        self._config_file: str = config._runtime_ssh_path or ""
        self._routes: dict[str, tuple[Hop, ...]] = {}
        self._openssh: dict[str, str] = {}  # hosts that ssh leads to, and what is still to be said of it
        self.warnings: Mapping[str, list[str]] = self._prepare([site.host(name) for name in hosts])

    @_without_secrets
    def open(self, host: str) -> Link:
        """Connect. Raises Unreachable."""
        from encamp.ssh.connection import connect
        from encamp.ssh.errors import BeyondParamiko

        found = self._site.host(host)
        if found.inventory.local:
            return LocalLink()
        if host not in self._openssh:
            try:
                return connect(self._address(found))
            except BeyondParamiko as error:
                if found.settings(Settings).transport != "auto" or not shutil.which("ssh"):
                    raise
                self._openssh[host] = error.message
        return self._by_openssh(found)

    def _by_openssh(self, host: SiteHost) -> Link:
        from encamp.ssh.openssh.link import OpenSshLink

        why, self._openssh[host.name] = self._openssh[host.name], ""  # said once
        return OpenSshLink(self._address(host), why and f"connects with ssh instead of paramiko: {why}")

    def launch_spec(self, host: str) -> LaunchSpec:
        found = self._site.host(host)
        become = found.inventory.become if self._become is None else self._become
        password = passwords.become_password(self._config, found.settings(passwords.Settings))
        options = found.settings(Settings)
        return LaunchSpec(
            host,
            found.inventory.python,
            become and not self._is_root(found),
            password,
            bootstrap=options.bootstrap_python,
            step_timeout=options.step_timeout,
            ask=passwords.asker(),
        )

    def report_warnings(self, warn: Warn) -> None:
        """Report the warnings, each once, whatever the number of hosts."""
        for text, hosts in self.warnings.items():
            warn(", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else ""), [text])

    def with_become(self, become: bool | None) -> SshConnector:
        """The same hosts and all that was found out about them, with an agent that runs as root or not."""
        other = copy.copy(self)
        other._become = become
        return other

    def _prepare(self, hosts: list[SiteHost]) -> dict[str, list[str]]:
        """Warnings by their text, each with the hosts it is about."""
        remote = [host for host in hosts if not host.inventory.local]
        for host, route in zip(remote, _side_by_side(self._route, remote), strict=True):
            self._routes[host.name] = route
        warnings: dict[str, list[str]] = {}
        for host in remote:
            for text in self._prepare_host(host):
                warnings.setdefault(text, []).append(host.name)
        return warnings

    @_without_secrets
    def _prepare_host(self, host: SiteHost) -> list[str]:
        """Choose the way to a host, get the passphrases that it needs. Returns warnings."""
        from encamp.ssh import config_warnings, keys, ways
        from encamp.ssh.login import algorithms

        address, options = self._address(host), _statements(host)
        settings = host.settings(Settings)
        for path in address.policy.keys:
            try:
                keys.read(path)
            except (OSError, keys.KeyProblem) as error:
                found = keys.unusable(path, error)
                raise SettingsError(found.message, found.fix, self._keys_origin(host)) from None
        why = ways.why_openssh(address, options) if settings.transport == "auto" and shutil.which("ssh") else ""
        if why or settings.transport == "openssh":
            self._openssh[host.name] = why
        warnings: list[str] = []
        for hop in address.route:
            by_openssh, own = host.name in self._openssh, options if hop is address.route[-1] else ()
            if hop.values and not by_openssh:
                algorithms(hop)
            warnings += config_warnings.warnings(hop, self._config_file, own, by_openssh)
            if not (by_openssh and ways.has_master(address)):
                has_password = address.policy.password is not None
                self._passphrases.prepare(hop, address.policy.keys, settings.key_passphrase, has_password)
        return warnings

    @_without_secrets
    def _route(self, host: SiteHost) -> tuple[Hop, ...]:
        from encamp.ssh.config import route

        known, found = self._routes.get(host.name), host.inventory
        try:
            return known or route(found.address, found.user, found.port, self._config_file, found.ssh_options)
        except InventoryError as error:
            error.where = error.where or (_options_origin(host) if found.ssh_options else None)
            raise

    def _address(self, host: SiteHost) -> Address:
        from encamp.ssh.target import Address, Policy

        options, route = host.settings(Settings), self._route(host)
        policy = Policy(
            accept_new=self._accepts_new(host, options, route[-1]),
            known_hosts=locate(options.known_hosts, host.inventory.directory) if options.known_hosts else "",
            keys=self._keys(host),
            password=passwords.login_password(self._config, host.settings(passwords.Settings)),
            passphrases=self._passphrases.found,
            timeout=self._timeout(host, options, route[-1]),
            ask=passwords.asker(),
        )
        return Address(route, policy, options.connect_tries, self._config_file, host.inventory.ssh_options)

    def _accepts_new(self, host: SiteHost, options: Settings, hop: Hop) -> bool:
        """StrictHostKeyChecking accept-new counts where the inventory says nothing."""
        if not host.origin("host_key_checking") and hop.first("stricthostkeychecking") == "accept-new":
            return True
        return options.host_key_checking == "accept-new"

    def _keys(self, host: SiteHost) -> tuple[str, ...]:
        """What the command line names counts most."""
        given = self._config.connect_kwargs.get("key_filename") or []
        given = [given] if isinstance(given, str) else given  # as paramiko takes it, in fabric.yaml
        named = [os.path.abspath(os.path.expanduser(path)) for path in given]
        return tuple(named or ([host.inventory.key_file] if host.inventory.key_file else []))

    def _keys_origin(self, host: SiteHost) -> Origin | None:
        """Where a key was named; None for the command line."""
        given = self._config.connect_kwargs.get("key_filename")
        return None if given else host.origin("ansible_ssh_private_key_file")

    def _timeout(self, host: SiteHost, options: Settings, hop: Hop) -> float:
        configured = hop.first("connecttimeout")
        given = self._config.connect_kwargs.get("timeout")
        if given or host.origin("connect_timeout") or not configured:
            return float(given or options.connect_timeout)
        return float(configured)

    def _is_root(self, host: SiteHost) -> bool:
        if host.inventory.local:
            return os.geteuid() == 0
        return self._route(host)[-1].user == "root"


def _statements(host: SiteHost) -> tuple[Statement, ...]:
    """The directives among the arguments of ssh that the inventory gives."""
    from encamp.ssh.config_files import of_options

    options = host.inventory.ssh_options
    return of_options(options, _options_origin(host)) if options else ()


def _options_origin(host: SiteHost) -> Origin:
    """Where the inventory gives arguments of ssh."""
    variables = host.inventory.variables
    return next(variables[name].origin for name in SSH_ARGS if name in variables)


def _side_by_side(look: Callable[[T], U], items: Sequence[T]) -> list[U]:
    """What ``look`` says of each. It waits for another program, so several are asked at once."""
    if len(items) < 2:
        return [look(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(look, items))
