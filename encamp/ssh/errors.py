"""What went wrong with a connection: whether it may pass, and how an operator reads it."""

from __future__ import annotations

import re
import socket

import paramiko
from paramiko.ssh_exception import ChannelException, IncompatiblePeer

from encamp.errors import Unreachable
from encamp.ssh.config import Hop
from encamp.ssh.login import METHODS, LoginRefused, ServerSaid
from encamp.ssh.target import Address

#: Words of paramiko's about a connection that broke, or a packet that did.
_PASSING = ("banner", "Invalid packet", "No existing session", "EOF", "Timeout", "Negotiation failed", "padding")
#: What sshd of OpenSSH 9.8 and later says to an address under a penalty (PerSourcePenalties), for 15 s at least.
_PENALTY = "Not allowed at this time"


#: How an answer of a web server begins; of a request that makes no sense to it some send the page alone.
_HTTP = re.compile(r"HTTP/\d|<!DOCTYPE html|<html", re.IGNORECASE)


class BeyondParamiko(Unreachable):
    """The host insists on what paramiko lacks: an algorithm, or a way to log in. OpenSSH may have it."""


def is_busy(error: Exception) -> bool:
    """Whether the server closed the connection before sending its banner, as sshd does above MaxStartups."""
    if isinstance(error, paramiko.SSHException):
        return "banner" in str(error) and not isinstance(error.__cause__ or error.__context__, TimeoutError)
    if isinstance(error, ServerSaid):
        return _may_end(error)
    return isinstance(error, (ConnectionResetError, EOFError))


def may_pass(error: Exception) -> bool:
    """Whether another try may help: the network's faults, not a refused key or log-in."""
    if isinstance(error, (paramiko.AuthenticationException, IncompatiblePeer)):
        return False
    if isinstance(error, ChannelException):
        return error.code == 2  # the jump host cannot connect: the same as a refused connection here
    if isinstance(error, ServerSaid):
        return _may_end(error)
    if isinstance(error, paramiko.SSHException):
        return any(word in str(error) for word in _PASSING)
    return isinstance(error, (TimeoutError, ConnectionError, EOFError)) or (
        isinstance(error, OSError) and not isinstance(error, (socket.gaierror, FileNotFoundError, PermissionError))
    )


def _may_end(error: ServerSaid) -> bool:
    """Whether what a server says in place of its banner passes within a run."""
    return _PENALTY not in str(error) and not _HTTP.match(str(error))


def explained(hop: Hop, address: Address, error: Exception) -> Unreachable:
    """The error as an operator reads it, with what to do. It names the jump host where that is at fault."""
    found = _explained(hop, address.policy.timeout, error)
    if hop is not address.route[-1]:
        found.message = f"jump host {hop.name}: {found.message}"
    return found


def _explained(hop: Hop, timeout: float, error: Exception) -> Unreachable:
    if isinstance(error, paramiko.AuthenticationException):
        return _refused(hop, error)
    if isinstance(error, socket.gaierror):
        return Unreachable(f"no address for {hop.host}: {error.strerror}", "check the name, or set ansible_host")
    if isinstance(error, TimeoutError):
        return Unreachable(f"{hop.place} does not answer within {timeout:g} s", "check address, network, firewall")
    if isinstance(error, ServerSaid) and _PENALTY in str(error):
        return Unreachable(
            f"{hop.place} answers {_PENALTY!r} in place of its SSH banner: sshd has a penalty on this address",
            "wait some minutes, and find out what it is for: `journalctl -u ssh | grep penalty` on the host "
            "(PerSourcePenalties, PerSourcePenaltyExemptList in sshd_config)",
        )
    if isinstance(error, ServerSaid) and _HTTP.match(str(error)):
        return Unreachable(
            f"{hop.place} answers as a web server ({str(error).partition(';')[0]!r}), not as sshd",
            "set ansible_port to the port of sshd (on the host: `ss -ltnp | grep sshd`), or ansible_host to the host "
            "itself, where this is a proxy or load balancer before it",
        )
    if is_busy(error):
        said = f" (it said: {error})" if isinstance(error, ServerSaid) else ""
        return Unreachable(
            f"{hop.place} closed the connection before sending its SSH banner{said}",
            "`journalctl -u ssh -n 20` on the host says why; likely first: too many log-ins at once (MaxStartups), a "
            "penalty on this address (PerSourcePenalties, OpenSSH 9.8 and later), fail2ban or a firewall that closes "
            "connections, an sshd that is starting",
        )
    if isinstance(error, ChannelException):
        return Unreachable(
            f"{hop.place} cannot be reached from the jump host: {error.text}", "try `ssh JUMPHOST` first"
        )
    if isinstance(error, IncompatiblePeer):
        return BeyondParamiko(
            f"{hop.place}: {error}",
            "allow one of this machine's in the host's sshd_config, or look at Ciphers, MACs, KexAlgorithms and "
            "HostKeyAlgorithms in your ssh configuration; transport: openssh uses ssh, which may have more",
        )
    if isinstance(error, OSError):
        return Unreachable(
            f"{hop.place}: {error.strerror or error}", "check that sshd runs there and that the port is right"
        )
    return Unreachable(
        f"cannot connect to {hop.place}: {error}", "check that sshd runs there and that the port is right"
    )


def _refused(hop: Hop, error: paramiko.AuthenticationException) -> Unreachable:
    tried = error.tried if isinstance(error, LoginRefused) else ()
    offered = f" with {', '.join(tried)}" if tried else ""
    message = f"{hop.place} refuses the login of {hop.user}{offered}: {error}"
    if len(set(tried) - {"the password", *METHODS}) > 1 and ("EOF" in str(error) or "Too many" in str(error)):
        return Unreachable(
            f"{message} (it closed the connection after too many keys: MaxAuthTries)",
            "name the right key in ansible_ssh_private_key_file, and set IdentitiesOnly yes in your ssh configuration",
        )
    fix = (
        "check ansible_user and ansible_ssh_private_key_file, and the host's ~/.ssh/authorized_keys; where they are "
        "right, `journalctl -u ssh -n 20` on the host says why (AllowUsers, DenyUsers, AllowGroups, an expired account)"
    )
    allowed = set(getattr(error.__cause__ or error, "allowed_types", ())) | set(getattr(error, "allowed_types", ()))
    if allowed and not allowed & set(METHODS):
        return BeyondParamiko(message, fix)
    return Unreachable(message, fix)
