"""Opening SSH connections: the route that OpenSSH's configuration gives, host keys checked on each hop, retries.

Fabric alone accepts any host key, a changed one too (fabric issues 1804 and 2071), so connections are opened here.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence

import paramiko

from encamp.errors import EncampError, Unreachable
from encamp.shared.record import replace
from encamp.ssh import login, sockets
from encamp.ssh.attempts import Failed, until_open
from encamp.ssh.config import Hop
from encamp.ssh.target import Address, Policy

KEEPALIVE_SECONDS = 10
#: Until a server with MaxSessions 1 has put away the session before.
SESSION_END_SECONDS = 10


class Link:
    """An open, authenticated connection, with those that it runs through."""

    note = ""

    def __init__(self, transports: Sequence[paramiko.Transport], proxy: sockets.Proxy | None) -> None:
        self._transports, self._proxy = transports, proxy
        self._sessions = 0

    @property
    def user(self) -> str:
        return str(self._transports[-1].get_username())

    def execute(self, command: str) -> paramiko.Channel:
        """Start a command in a session of its own. Raises Unreachable when the link is gone or the host refuses."""
        try:
            channel = self._session(time.monotonic() + SESSION_END_SECONDS)
            channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(
                f"cannot open a session: {str(error) or 'the connection is closed'}",
                "try `ssh HOST true`; `journalctl -u ssh -n 20` on the host says why (MaxSessions, its limits)",
            ) from error
        return channel

    def _session(self, end: float) -> paramiko.Channel:
        """A session; where there was one before, its end is waited for until ``end``."""
        while True:
            try:
                channel = self._transports[-1].open_session(timeout=60)
                self._sessions += 1
                return channel
            except paramiko.ChannelException:
                if not self._sessions or time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def close(self) -> None:
        for transport in reversed(self._transports):
            transport.close()
        if self._proxy:
            self._proxy.close()


def connect(address: Address) -> Link:
    """Open a connection, trying again where the network may have dropped it or the server is busy.

    Raises Unreachable, with the reason and what to do; HostKeyRejected for an unknown, changed or revoked key.
    """
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    return until_open(address, lambda: _open(address))


def _open(address: Address) -> Link:
    """Connect hop after hop. Raises Failed; EncampError for what no try would change."""
    transports: list[paramiko.Transport] = []
    proxy: sockets.Proxy | None = None
    try:
        for hop in address.route:
            try:
                command = hop.first("proxycommand") if not transports else ""
                proxy = sockets.Proxy(hop.expand(command)) if command else proxy
                sock = _socket(hop, transports, proxy if command else None, address.policy.timeout)
                transports.append(login.start(sock, hop, _policy_for(hop, address)))
            except EncampError:
                raise
            except Exception as error:
                raise Failed(hop, proxy.failure if proxy and not transports and proxy.ended else error) from error
        for transport in transports:
            transport.set_keepalive(KEEPALIVE_SECONDS)
    except BaseException:
        Link(transports, proxy).close()
        raise
    return Link(transports, proxy)


def _socket(
    hop: Hop, transports: Sequence[paramiko.Transport], proxy: sockets.Proxy | None, timeout: float
) -> socket.socket | paramiko.Channel:
    if proxy:
        return proxy.socket
    return sockets.through(transports[-1], hop, timeout) if transports else sockets.dial(hop, timeout)


def _policy_for(hop: Hop, address: Address) -> Policy:
    """A jump host gets no password of the host behind it; the keys that were named are good for both."""
    return address.policy if hop is address.route[-1] else replace(address.policy, password=None)
