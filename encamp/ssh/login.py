"""One SSH connection up to the login: key exchange, host key, log-in."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import paramiko

from encamp.errors import HostKeyRejected, InventoryError
from encamp.ssh import host_keys, known_hosts
from encamp.ssh.config import Hop
from encamp.ssh.host_keys import HostKeys
from encamp.ssh.keys import Agent, Identity, identities
from encamp.ssh.known_hosts import CERTIFICATE, PublicKey
from encamp.ssh.prompts import asks_password, wants_password
from encamp.ssh.target import TYPING_SECONDS, Policy

Sock = socket.socket | paramiko.Channel
METHODS = ("publickey", "keyboard-interactive", "password")
#: Directive, and the list of paramiko's that it limits.
_ALGORITHMS = {"ciphers": "ciphers", "macs": "macs", "kexalgorithms": "kex", "pubkeyacceptedalgorithms": "pubkeys"}
#: Two names of one key exchange (RFC 8731, section 4); paramiko has the older one only.
_CURVE, _CURVE_LIBSSH = "curve25519-sha256", "curve25519-sha256@libssh.org"
#: What the two sides must have in common: the fields of paramiko's KEXINIT, and its property of our own names.
_AGREED = (
    ("key exchange", "kex_algo_list", "preferred_kex"),
    ("host key", "server_key_algo_list", "preferred_keys"),
    ("cipher", "client_encrypt_algo_list", "preferred_ciphers"),
    ("MAC", "client_mac_algo_list", "preferred_macs"),
)
#: Lines of a server before its banner: the first, and no more of the last, are kept.
_GREETING_LINES = 10


class LoginRefused(paramiko.AuthenticationException):
    """The server takes none of what was offered; ``tried`` names it."""

    def __init__(self, reason: str, tried: Sequence[str]) -> None:
        super().__init__(reason)
        self.tried = tuple(tried)


class NoCommonAlgorithm(paramiko.ssh_exception.IncompatiblePeer):
    """The server has no algorithm of one kind that this side has; the text names both sides' lists."""


class ServerSaid(EOFError):
    """The server closed the connection with a line in place of its banner; the text is that line."""


def _with_both_names(names: Sequence[str]) -> tuple[str, ...]:
    """Key exchanges, with both names of what has two."""
    return tuple(both for name in names for both in ((_CURVE, name) if name == _CURVE_LIBSSH else (name,)))


class Transport(paramiko.Transport):
    """paramiko's, with the host key algorithms that known_hosts asks for, and the key as the host presented it.

    ``greeting``: what the server said before its version. ``offered``: its algorithms.
    """

    _kex_info: ClassVar[Mapping[str, Any]] = {
        **paramiko.Transport._kex_info,  # type: ignore[attr-defined]  # not in the stubs
        _CURVE: paramiko.Transport._kex_info[_CURVE_LIBSSH],  # type: ignore[attr-defined]
    }
    _preferred_kex = _with_both_names(paramiko.Transport._preferred_kex)  # type: ignore[attr-defined]

    def __init__(self, sock: Sock, host_key_algorithms: tuple[str, ...]) -> None:
        super().__init__(sock)
        self._host_key_algorithms = host_key_algorithms
        self.presented = b""
        self.greeting: list[str] = []
        self.offered: Mapping[str, Sequence[str]] = {}

    def _check_banner(self) -> None:
        readline = self.packetizer.readline

        def recorded(timeout: float) -> str:
            line = str(readline(timeout))
            first, *others = *self.greeting, line.strip()
            self.greeting = [first, *others[-_GREETING_LINES:]]
            return line

        self.packetizer.readline = recorded  # type: ignore[method-assign]
        super()._check_banner()  # type: ignore[misc]

    def _really_parse_kex_init(self, m: paramiko.Message, ignore_first_byte: bool = False) -> Mapping[str, Any]:
        parsed: Mapping[str, Any] = super()._really_parse_kex_init(m, ignore_first_byte)  # type: ignore[misc]
        if not ignore_first_byte:  # the server's, not our own
            self.offered = {name: tuple(value) for name, value in parsed.items() if isinstance(value, list)}
        return parsed

    def not_in_common(self) -> str:
        """The first kind of algorithm that the two sides share none of, with both lists; empty if there is none."""
        for title, field, preferred in _AGREED:
            theirs, ours = self.offered.get(field, ()), getattr(self, preferred)
            if theirs and not set(theirs) & set(ours):
                offer, able = (", ".join(without_markers(names)) for names in (theirs, ours))
                return f"no common {title}: it offers {offer}; paramiko has {able}"
        return ""

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        return self._host_key_algorithms

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:  # the only place that sees the certificate
        if self.presented and self.presented != host_key:
            raise paramiko.SSHException("the host presented another key during the session")
        super()._verify_key(host_key, sig)  # type: ignore[misc]  # not in the stubs
        self.presented = host_key


def without_markers(names: Iterable[str]) -> list[str]:
    """Without the entries that announce an extension."""
    return [name for name in names if not name.startswith(("ext-info-", "kex-strict-"))]


def start(sock: Sock, hop: Hop, policy: Policy) -> Transport:
    """Exchange keys over ``sock`` and log in. Raises HostKeyRejected, LoginRefused, SSHException, OSError."""
    files = [*([policy.known_hosts] if policy.known_hosts else []), *hop.known_hosts]
    on_record = HostKeys(hop, files)
    transport = Transport(sock, on_record.algorithms(_host_key_algorithms(hop)))
    try:
        for name, left in algorithms(hop).items():
            setattr(transport, f"_preferred_{name}", left)
        transport.use_compression(hop.first("compression") == "yes")
        transport.banner_timeout = policy.timeout * 3
        transport.auth_timeout = TYPING_SECONDS if policy.ask else policy.timeout * 3
        _negotiate(transport, policy.timeout * 3)
        _check_host_key(transport, hop, policy, on_record)
        _log_in(transport, hop, policy)
    except BaseException:
        transport.close()
        raise
    return transport


def _negotiate(transport: Transport, seconds: float) -> None:
    """Exchange keys. Raises TimeoutError where the server does not say enough in time, SSHException."""
    try:
        transport.start_client(timeout=seconds)
    except paramiko.ssh_exception.IncompatiblePeer as error:
        raise NoCommonAlgorithm(transport.not_in_common() or str(error)) from error
    except paramiko.SSHException as error:
        if transport.greeting and not any(line.startswith("SSH-") for line in transport.greeting):
            raise ServerSaid("; ".join(transport.greeting)) from error
        if isinstance(error.__context__, TimeoutError):
            raise TimeoutError from error
        raise
    if not transport.presented:
        raise TimeoutError


def _host_key_algorithms(hop: Hop) -> tuple[str, ...]:
    """What paramiko can, as far as HostKeyAlgorithms allows it."""
    able: tuple[str, ...] = paramiko.Transport._preferred_keys  # type: ignore[attr-defined]  # not in the stubs
    allowed = _named(hop, "hostkeyalgorithms")
    return tuple(name for name in able if not allowed or {name, name + CERTIFICATE} & set(allowed))


def _named(hop: Hop, keyword: str) -> list[str]:
    named = [name for name in hop.first(keyword).split(",") if name]
    return [*named, *(name for name in (_CURVE, _CURVE_LIBSSH) if {_CURVE, _CURVE_LIBSSH} & set(named))]


def algorithms(hop: Hop) -> dict[str, tuple[str, ...]]:
    """What the configuration leaves of paramiko's algorithms, by paramiko's names for their lists.

    Raises InventoryError where nothing is left.
    """
    found = {}
    for keyword, ours in _ALGORITHMS.items():
        allowed = _named(hop, keyword)
        able: tuple[str, ...] = getattr(Transport, f"_preferred_{ours}")
        # A plain RSA key signs with what its certificate is allowed, and the other way round.
        left = tuple(name for name in able if {name, name + CERTIFICATE} & set(allowed))
        if allowed and not left:
            raise InventoryError(
                f"{keyword} {','.join(allowed)} leaves no usable algorithm for {hop.name}",
                f"allow at least one of {', '.join(able)}",
            )
        found[ours] = left or able
    return found


def _check_host_key(transport: Transport, hop: Hop, policy: Policy, on_record: HostKeys) -> None:
    """Raises HostKeyRejected, after recording nothing; records a new key where that was asked for."""
    presented = PublicKey.from_blob(transport.presented)
    certified = presented if presented.type.endswith(CERTIFICATE) else None
    key = PublicKey.from_blob(transport.get_remote_server_key().asbytes())
    if on_record.is_known(key, certified):
        return
    if not policy.accept_new:
        raise host_keys.unknown(hop, key)
    file = policy.known_hosts or next(iter(hop.known_hosts), "")
    try:
        known_hosts.write_down(hop, key, file)
    except OSError as error:
        raise HostKeyRejected(
            f"the new host key of {hop.recorded} cannot be recorded: {file or 'no file'}: {error.strerror}",
            "name a writable file in known_hosts",
        ) from error


def _log_in(transport: Transport, hop: Hop, policy: Policy) -> None:
    """Offer what there is, each thing once: a wrong password tried again and again would lock the account."""
    agent = Agent(hop)
    try:
        login = _Login(transport, hop, policy, identities(hop, agent, policy.keys, policy.passphrases))
        login.run()
    finally:
        agent.close()


def _nothing_for(wanted: Sequence[str]) -> str:
    """Why nothing more was tried. ``wanted``: what the server asks for beside what it took."""
    if not wanted:
        return "no key and no password available"
    return f"it also wants {' or '.join(wanted)}, and there is neither a password nor a terminal to answer on"


class _Login:
    """The dialogue of one log-in."""

    def __init__(self, transport: Transport, hop: Hop, policy: Policy, keys: Iterable[Identity]) -> None:
        self._transport, self._hop, self._policy, self._keys = transport, hop, policy, iter(keys)
        self._offered = False  # the password
        self._tried: list[str] = []
        self._error: Exception | None = None
        wanted = hop.first("preferredauthentications").split(",")
        self._methods = [method for method in wanted if method in METHODS and self._allowed(method)] or [
            method for method in METHODS if self._allowed(method)
        ]

    def _allowed(self, method: str) -> bool:
        keyword = {"publickey": "pubkeyauthentication", "keyboard-interactive": "kbdinteractiveauthentication"}
        return self._hop.first(keyword.get(method, "passwordauthentication"), "yes") not in ("no", "false")

    def run(self) -> None:
        """Raises LoginRefused, SSHException."""
        left, wanted = list(self._methods), list[str]()
        while left and not self._transport.is_authenticated():
            further = self._by(left.pop(0))
            if further:  # that was right, and something else is asked for as well
                wanted, left = further, [method for method in self._methods if method in further]
        if not self._transport.is_authenticated():
            raise LoginRefused(str(self._error or _nothing_for(wanted)), self._tried) from self._error

    def _by(self, method: str) -> list[str]:
        """Try a method. Returns those that the server wants beside it."""
        if method == "publickey":
            return self._by_keys()
        if method == "keyboard-interactive" and (self._policy.password or self._policy.ask):
            answer = self._transport.auth_interactive
            return self._attempt(method, lambda: answer(self._hop.user, self._answers))
        if method == "password" and self._policy.password and not self._offered:
            self._offered, text = True, self._policy.password.reveal()
            send = self._transport.auth_password
            return self._attempt("the password", lambda: send(self._hop.user, text, fallback=False))
        return []

    def _by_keys(self) -> list[str]:
        for identity in self._keys:
            key = identity.key
            further = self._attempt(identity.title, lambda key=key: self._transport.auth_publickey(self._hop.user, key))  # type: ignore[misc]
            if further or self._transport.is_authenticated() or isinstance(self._error, paramiko.BadAuthenticationType):
                return further
        return []

    def _attempt(self, title: str, offer: Callable[[], list[str]]) -> list[str]:
        """Offer one thing. A refusal is kept; a connection that breaks is raised."""
        try:
            further = offer()
        except paramiko.BadAuthenticationType as error:
            self._error = error
            return []
        except paramiko.AuthenticationException as error:
            self._tried.append(title)
            self._error = error
            if not self._transport.is_active():
                raise LoginRefused(str(error), self._tried) from error
            return []
        self._tried.append(title)
        return further

    def _answers(self, title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        return [self._answer(prompt.strip(), echo) for prompt, echo in prompts]

    def _answer(self, prompt: str, echo: bool) -> str:
        """What the server asks in a dialogue: the password for the first hidden question that is not for a code, a
        person for others."""
        if not echo and self._policy.password and not self._offered and wants_password(prompt):
            self._offered = True
            return self._policy.password.reveal()
        if self._policy.ask is None:
            raise LoginRefused(f"the host asks {prompt!r}, and there is no terminal to answer on", self._tried)
        if self._offered and asks_password(prompt):
            raise LoginRefused(f"the host asks {prompt!r} again after it got the password", self._tried)
        return self._policy.ask(f"{self._hop.user}@{self._hop.place}: {prompt} ", echo)
