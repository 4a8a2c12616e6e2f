"""What an SSH connection runs over: TCP, a ProxyCommand, or a channel of the connection before it."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from typing import IO

import paramiko

from encamp.ssh import programs
from encamp.ssh.config import Hop
from encamp.support import environment

_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
#: How long sent data may stay unanswered before the system gives the connection up. With a keepalive every 10 s a dead
#: link is known within 30 s, whatever is going on.
UNANSWERED_MILLISECONDS = 20_000


class ProxyFailed(ConnectionError):
    """A ProxyCommand ended, or gave no connection; the text is its output."""


class Proxy:
    """A ProxyCommand at work, with a socket to talk through. paramiko's own spins when the command ends."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.socket, theirs = socket.socketpair()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # open for as long as the command runs
        shell = os.environ.get("SHELL") or "/bin/sh"
        with theirs:
            self._process = subprocess.Popen(
                [shell, "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._said,
                env=environment.without_passwords(),
                start_new_session=True,
            )

    @property
    def failure(self) -> ProxyFailed:
        """What to say of a command that has ended: the last line that it wrote to its standard error."""
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return ProxyFailed(f"`{programs.shown(self.command)}` ended: {lines[-1] if lines else 'without any output'}")

    @property
    def ended(self) -> bool:
        """Whether the command is over; it gets a moment to say so."""
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        self.socket.close()
        self._process.terminate()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def dial(hop: Hop, timeout: float) -> socket.socket:
    """A TCP connection to the first of the host's addresses that takes one. Raises OSError."""
    family = _FAMILIES.get(hop.first("addressfamily"), socket.AF_UNSPEC)
    last = OSError(f"no address for {hop.host}")
    for kind, type_, protocol, _, address in socket.getaddrinfo(hop.host, hop.port, family, socket.SOCK_STREAM):
        connection = socket.socket(kind, type_, protocol)
        try:
            connection.settimeout(timeout)
            if hop.first("bindaddress"):
                connection.bind((hop.first("bindaddress"), 0))
            connection.connect(address)
        except OSError as error:
            connection.close()
            last = error
            continue
        _tune(connection)
        return connection
    raise last


def _tune(connection: socket.socket) -> None:
    """Small messages must not wait for the answer to the one before (Nagle's algorithm), and a dead link shows."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MILLISECONDS)


def through(jump: paramiko.Transport, hop: Hop, timeout: float) -> paramiko.Channel:
    """A channel to the next host, opened by the jump host. Raises SSHException."""
    return jump.open_channel("direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=timeout)
