"""Opening SSH connections: ~/.ssh/config through Fabric, host keys by our own policy, retries, keepalive.

Fabric alone accepts any host key, a changed one too (fabric issues 1804 and 2071). Here known hosts are always loaded,
an unknown key is refused unless ``accept-new`` was asked for, and a changed key is always refused.
"""

from __future__ import annotations

import logging
import os
import shlex
import socket
import threading
import time
from pathlib import Path

import fabric
import paramiko

from encamp.errors import HostKeyRejected, Unreachable
from encamp.shared.record import record
from encamp.shared.secret import Secret

KEEPALIVE_SECONDS = 10
STARTS_AT_ONCE = threading.BoundedSemaphore(8)


@record
class Address:
    """Where and how to log in. Empty fields are left to ~/.ssh/config and to OpenSSH's defaults.

    ``host_key_checking`` is strict or accept-new; ``known_hosts`` an additional file; times are in seconds.
    """

    name: str
    host: str
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    host_key_checking: str = "strict"
    known_hosts: str = ""
    timeout: float = 10
    tries: int = 3
    password: Secret | None = None


class Link:
    """An open, authenticated connection."""

    def __init__(self, connection: fabric.Connection) -> None:
        self._connection = connection

    @property
    def user(self) -> str:
        return str(self._connection.user)

    def execute(self, command: str) -> paramiko.Channel:
        """Start a command in a session of its own. Raises Unreachable when the link is gone or the host refuses."""
        try:
            channel: paramiko.Channel = self._connection.create_session()
            channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(
                f"the connection opens no session: {error or 'it is closed'}", "see what `ssh HOST true` says"
            ) from error
        return channel

    def close(self) -> None:
        self._connection.close()


def connect(address: Address, config: fabric.Config) -> Link:
    """Open a connection, trying again where the network may have dropped it.

    Raises Unreachable, with the reason and what to do; HostKeyRejected for an unknown or a changed key.
    """
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    for attempt in range(address.tries):
        if attempt:
            time.sleep(2.0**attempt / 2)
        try:
            with STARTS_AT_ONCE:
                return Link(_open(address, config))
        except (TimeoutError, ConnectionError, EOFError, paramiko.ssh_exception.NoValidConnectionsError) as error:
            last: Exception = error
        except paramiko.SSHException as error:
            last = error
            if not _is_transient(error):
                raise _explained(address, error) from error
        except (OSError, ValueError) as error:
            raise _explained(address, error) from error
    raise _explained(address, last) from last


def _open(address: Address, config: fabric.Config) -> fabric.Connection:
    keywords: dict[str, object] = {"banner_timeout": address.timeout * 3, "auth_timeout": address.timeout * 3}
    if address.key_file:
        keywords.update(key_filename=address.key_file, look_for_keys=False)
    if address.password is not None:
        keywords["password"] = address.password.reveal()
    # What the command line says (-i, --prompt-for-login-password) counts most.
    given = {name: config.connect_kwargs.get(name) for name in ("key_filename", "password", "passphrase")}
    keywords.update({name: value for name, value in given.items() if value})
    connection = fabric.Connection(
        address.host,
        user=address.user,
        port=address.port,
        config=config.clone(),  # a Connection writes into its own, which empties it for a moment: hosts must share none
        connect_timeout=int(address.timeout),
        connect_kwargs=keywords,
    )
    hops = _chain(connection)
    for hop in hops:
        _guard(hop, address)
    try:
        connection.open()
    except paramiko.BadHostKeyException as error:
        raise _changed(next((hop for hop in hops if hop.host == error.hostname), connection), address, error) from error
    connection.transport.set_keepalive(KEEPALIVE_SECONDS)
    _send_at_once(connection.transport)
    return connection


def _send_at_once(transport: paramiko.Transport) -> None:
    """Small messages must not wait for the answer to the one before (paramiko leaves Nagle's algorithm on)."""
    if isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _chain(connection: fabric.Connection) -> list[fabric.Connection]:
    """The connection and the jump hosts before it: each must have its key checked."""
    hops = [connection]
    while isinstance(hops[-1].gateway, fabric.Connection):
        hops.append(hops[-1].gateway)
    return hops


def _guard(connection: fabric.Connection, address: Address) -> None:
    """Load every known-hosts file that OpenSSH would read, and refuse unknown keys unless accept-new."""
    client: paramiko.SSHClient = connection.client
    stored = connection.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
    for name in ["/etc/ssh/ssh_known_hosts", *stored.split(), address.known_hosts]:
        path = Path(name).expanduser()
        if name and path.is_file():
            client.load_system_host_keys(str(path))
    if address.host_key_checking == "accept-new":
        client.load_host_keys(str(_writable_known_hosts(address.known_hosts or stored.split()[0])))
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    else:
        client.set_missing_host_key_policy(_Refuse())


def _writable_known_hosts(name: str) -> Path:
    path = Path(name).expanduser()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    return path


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Refuses a key that no known-hosts file holds."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise HostKeyRejected(
            f"the host key of {hostname} is not known ({key.get_name()} {key.fingerprint})",
            "compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then connect once to record "
            f"it (`{_login(hostname)}`), or set host_key_checking: accept-new",
        )


def _login(recorded: str) -> str:
    """The ssh command for a name as known-hosts files record it: ``vm1``, or ``[vm1]:2222`` for another port."""
    name, _, port = recorded.removeprefix("[").partition("]:")
    return f"ssh -p {port} {name}" if port else f"ssh {name}"


def _changed(connection: fabric.Connection, address: Address, error: paramiko.BadHostKeyException) -> HostKeyRejected:
    """A changed key, with both fingerprints and the command that forgets the old one in the file that holds it."""
    recorded = connection.host if connection.port == 22 else f"[{connection.host}]:{connection.port}"
    command = ["ssh-keygen", "-R", recorded]
    extra = Path(address.known_hosts).expanduser()
    if extra.is_file() and paramiko.HostKeys(str(extra)).lookup(recorded):
        command += ["-f", address.known_hosts]
    return HostKeyRejected(
        f"the host key of {recorded} has changed: on record {error.expected_key.get_name()} "
        f"{error.expected_key.fingerprint}, presented {error.key.get_name()} {error.key.fingerprint}",
        f"if the host was reinstalled, forget the old key (`{shlex.join(command)}`) and connect once to record the new "
        f"one (`{_login(recorded)}`); if it was not, someone may be in the middle: do not connect",
    )


def _is_transient(error: paramiko.SSHException) -> bool:
    """Faults seen when sshd or the network is busy. A refused key or a rejected login is final."""
    final = (paramiko.AuthenticationException, paramiko.BadHostKeyException)
    return not isinstance(error, final) and any(
        word in str(error) for word in ("banner", "Invalid packet", "No existing session", "EOF", "Timeout")
    )


def _explained(address: Address, error: Exception) -> Unreachable:
    """The error as an operator reads it, with what to do."""
    place = f"{address.host}:{address.port or 22}"
    if isinstance(error, paramiko.PasswordRequiredException):
        return Unreachable("the private key is encrypted", "load it into ssh-agent (ssh-add), then run again")
    if isinstance(error, paramiko.AuthenticationException):
        tried = f" with {address.key_file}" if address.key_file else ""
        return Unreachable(
            f"{place} refuses the login of {address.user or 'this user'}{tried}: {error}",
            "check ansible_user and ansible_ssh_private_key_file, and the host's ~/.ssh/authorized_keys",
        )
    if isinstance(error, socket.gaierror):
        return Unreachable(f"no address for {address.host}: {error.strerror}", "check the name, or set ansible_host")
    if isinstance(error, FileNotFoundError):
        return Unreachable(f"{error.filename}: {error.strerror}", "check ansible_ssh_private_key_file")
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
        causes = "; ".join(sorted({getattr(cause, "strerror", None) or str(cause) for cause in error.errors.values()}))
        return Unreachable(f"{place}: {causes}", "check that sshd runs there and that the port is right")
    if "private key" in str(error):
        return Unreachable(f"{address.key_file}: {error}", "name a private key in ansible_ssh_private_key_file")
    if isinstance(error, TimeoutError):
        return Unreachable(f"{place} does not answer within {address.timeout:g} s", "check address, network, firewall")
    return Unreachable(f"cannot connect to {place}: {error}", "check that sshd runs there and that the port is right")
