"""What ended a connection of ``ssh``, from its log: the same exceptions as paramiko's way raises, for the same words.

ssh's messages are English in every locale (OpenSSH is not translated); those of the system may not be.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Sequence

from paramiko.ssh_exception import ChannelException

from encamp.errors import HostKeyRejected
from encamp.ssh import host_keys, programs
from encamp.ssh.config import Hop
from encamp.ssh.host_keys import HostKeys
from encamp.ssh.login import LoginRefused, NoCommonAlgorithm, ServerSaid, without_markers
from encamp.ssh.sockets import ProxyFailed
from encamp.ssh.target import Address

_LOGGED_IN = re.compile(r"^(debug1: )?Authenticated to |master session id", re.MULTILINE)
_PRESENTED = re.compile(r"^debug1: Server host key: (\S+) (SHA256:\S+)", re.MULTILINE)
_OFFERED = re.compile(r"^debug1: Offering public key: (.+?) (?:\S+) SHA256:\S+", re.MULTILINE)
_METHOD = re.compile(r"^debug1: Next authentication method: (\S+)", re.MULTILINE)
_FORWARD = re.compile(r"open failed: (?:\S+ ?\S*): (.+)$", re.MULTILINE)
_NO_MATCH = re.compile(r"no matching (.+) found\. Their offer: (\S+)")
_CONNECTING = re.compile(r"connect to (?:host|address) .*: (?!.*timed out)(.+)$", re.MULTILINE)
_UNRESOLVED = re.compile(r"Could not resolve hostname \S+: (.+)$", re.MULTILINE)
_INSTEAD_OF_BANNER = re.compile(r"kex_exchange_identification: banner line \d+: (.+)$", re.MULTILINE)
_CLOSED = re.compile(r"^(kex_exchange_identification: .*|.*Connection (?:closed|reset) by .*)$", re.MULTILINE)
_REFUSED = re.compile(r"^(?:\S+@\S+: )?(Permission denied .*)$|^.*(Too many authentication failures).*$", re.MULTILINE)
_TIMED_OUT = re.compile(r"timed out", re.IGNORECASE)
_ERRNO = {os.strerror(code): code for code in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES)}


def cause_of(address: Address, logs: Sequence[str], said: str, unanswered: Sequence[str]) -> tuple[Hop, Exception]:
    """The hop at which it failed, and why. ``said``: what came on standard error, as a ProxyCommand's words do.

    Raises HostKeyRejected for a host key that is unknown, changed or revoked.
    """
    number = next((number for number, log in enumerate(logs) if not _LOGGED_IN.search(log)), len(logs) - 1)
    hop = address.route[number]
    log = logs[number].replace("\r", "")
    forward = _FORWARD.search(logs[number - 1].replace("\r", "")) if number else None
    if forward:
        return hop, ChannelException(2, forward[1])
    _check_host_key(hop, log, address)
    own = "\n".join(line for line in log.splitlines() if line and not line.startswith("debug"))
    return hop, _cause(hop, log, own, said, unanswered, behind_proxy=not number and bool(hop.first("proxycommand")))


def _cause(hop: Hop, log: str, own: str, said: str, unanswered: Sequence[str], behind_proxy: bool) -> Exception:
    unresolved = _UNRESOLVED.search(own)
    if unresolved:
        return socket.gaierror(socket.EAI_NONAME, unresolved[1])
    connecting = _CONNECTING.search(own)
    if connecting:
        return OSError(_ERRNO.get(connecting[1], errno.EIO), connecting[1])
    mismatch = _NO_MATCH.search(own)
    if mismatch:
        kind = mismatch[1].removesuffix(" method").removesuffix(" type")
        offer = ", ".join(without_markers(mismatch[2].split(",")))
        return NoCommonAlgorithm(f"no {kind} in common with this machine's ssh: it offers {offer}")
    refused = _REFUSED.search(own)
    if refused:
        return LoginRefused(_reason(refused[1] or refused[2], unanswered), _tried(log))
    if behind_proxy and "Remote protocol version" not in log and not _TIMED_OUT.search(own):
        words = said.strip().splitlines() or ["without any output"]
        return ProxyFailed(f"`{programs.shown(hop.expand(hop.first('proxycommand')))}` ended: {words[-1]}")
    if not own and said.strip():
        return OSError(said.strip().splitlines()[-1])
    if _TIMED_OUT.search(own) or not own:
        return TimeoutError()
    banner = _INSTEAD_OF_BANNER.findall(log)
    if banner:
        return ServerSaid("; ".join(line.strip() for line in banner))
    if _CLOSED.search(own):
        return EOFError(own.splitlines()[-1]) if "Authentications that can continue" not in log else _broken(own, log)
    return OSError(own.splitlines()[0])


def _broken(own: str, log: str) -> Exception:
    """The server closed the connection during the log-in, as it does after too many keys."""
    return LoginRefused(f"EOF ({own.splitlines()[-1]})", _tried(log))


def _reason(text: str, unanswered: Sequence[str]) -> str:
    if not unanswered:
        return text.rstrip(".")
    return f"the host asks {unanswered[0]!r}, and there is no terminal to answer on"


def _tried(log: str) -> list[str]:
    """Keys by their names, and other methods that were used, in the order of ssh's log."""
    keys = [found.strip() for found in _OFFERED.findall(log)]
    others = {"password": "the password", "keyboard-interactive": "keyboard-interactive"}
    return [*keys, *(others[method] for method in dict.fromkeys(_METHOD.findall(log)) if method in others)]


def _check_host_key(hop: Hop, log: str, address: Address) -> None:
    """Raises HostKeyRejected where that is what ssh ended for."""
    if "Host key verification failed" not in log and "host key" not in log.lower().replace("server host key", ""):
        return
    presented = _PRESENTED.search(log)
    shown = f"{presented[1]} {presented[2]}" if presented else "a key that ssh does not name"
    files = [*([address.policy.known_hosts] if address.policy.known_hosts else []), *hop.known_hosts]
    if "REVOKED HOST KEY" in log or "is revoked" in log:
        raise host_keys.revoked(hop, HostKeys(hop, files).revoked_entry(shown), shown)
    if "IDENTIFICATION HAS CHANGED" in log:
        raise host_keys.changed(hop, HostKeys(hop, files).entries, shown)
    if re.search(r"^No .*host key is known for", log, re.MULTILINE) or "Host key verification failed" in log:
        raise _certificate_problem(hop, log) or host_keys.unknown(hop, shown)


def _certificate_problem(hop: Hop, log: str) -> HostKeyRejected | None:
    """Why a certificate of the host does not count, in ssh's words."""
    found = re.search(r"^(Certificate (?:invalid|has expired|not yet valid).*)$", log, re.MULTILINE)
    if not found:
        return None
    return HostKeyRejected(
        f"the host certificate of {hop.recorded} is not accepted: {found[1]}",
        "have the authority sign the host key again (ssh-keygen -s CA -h -n NAME -V +52w KEY.pub)",
    )
