"""Opening SSH connections: the route that OpenSSH's configuration gives, host keys checked on each hop, retries.

Fabric alone accepts any host key, a changed one too (fabric issues 1804 and 2071), so connections are opened here.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Sequence

import paramiko

from encamp.errors import EncampError, Unreachable
from encamp.shared.record import replace
from encamp.ssh import errors, login, sockets
from encamp.ssh.config import Hop
from encamp.ssh.target import Address, Policy

KEEPALIVE_SECONDS = 10
#: Connects at once, until a server is busy.
AT_ONCE = 8
#: A server that closes the connection before its banner has too many logins in progress (MaxStartups): that passes.
BUSY_TRIES = 5
#: Until a server with MaxSessions 1 has put away the session before.
SESSION_END_SECONDS = 10


class ConnectThrottle:
    """A limit on connects at once, each held from the first packet to the log-in.

    Halved when a server is busy: sshd drops what exceeds its MaxStartups.
    """

    def __init__(self, limit: int = AT_ONCE) -> None:
        self._limit, self._running = limit, 0
        self._free = threading.Condition()

    def __enter__(self) -> None:
        with self._free:
            while self._running >= self._limit:
                self._free.wait()
            self._running += 1

    def __exit__(self, *unused: object) -> None:
        with self._free:
            self._running -= 1
            self._free.notify()

    def slow_down(self) -> None:
        with self._free:
            self._limit = max(1, self._limit // 2)


_THROTTLE = ConnectThrottle()


class Link:
    """An open, authenticated connection, with those that it runs through."""

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
                f"cannot open a session: {error or 'the connection is closed'}", "try `ssh HOST true`"
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
    failures = busy = 0
    while True:
        with _THROTTLE:
            try:
                return _open(address)
            except _Failed as failed:
                error = failed
        if errors.is_busy(error.cause) and address.tries > 1 and busy < BUSY_TRIES * address.tries:
            busy += 1
            _THROTTLE.slow_down()
            time.sleep(random.uniform(0.2, 1.0) * min(busy, 4))
            continue
        failures += 1
        if failures >= address.tries or not errors.may_pass(error.cause):
            raise errors.explained(error.hop, address, error.cause) from error.cause
        time.sleep(2.0**failures / 2 * random.uniform(0.8, 1.2))


class _Failed(Exception):
    """A connection that failed, with the hop at which it did."""

    def __init__(self, hop: Hop, cause: Exception) -> None:
        super().__init__(hop, cause)
        self.hop, self.cause = hop, cause


def _open(address: Address) -> Link:
    """Connect hop after hop. Raises _Failed; EncampError for what no try would change."""
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
                raise _Failed(hop, proxy.failure if proxy and not transports and proxy.ended else error) from error
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
