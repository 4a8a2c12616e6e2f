"""How OpenSSH would reach a host: ``ssh -G`` reads its configuration, so that there is one truth (ADR 11).

The program is asked only where a configuration file says something that matters to a connection.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence

from encamp.errors import InventoryError
from encamp.shared.record import factory, record, replace
from encamp.ssh import config_files, directives
from encamp.ssh.config_files import Statement
from encamp.support import environment
from encamp.support import user as current_user

ASK_SECONDS = 60
#: As many jump hosts as anybody has in a row; more are a loop.
MAX_HOPS = 16
SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"
DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
Values = Mapping[str, tuple[str, ...]]
_LISTS = ("userknownhostsfile", "globalknownhostsfile")
_SPLIT = "\0"
#: What a shell acts upon, in names of hosts and of users, as in OpenSSH's ssh.c (valid_hostname, valid_ruser).
_SHELL_TEXT = {"host": r"^-|[\s'`\"$\\;&<>|(){}\x00-\x1f\x7f]", "user": r"^-|[\s'`\";&<>|(){}\x00-\x1f\x7f]|\\$"}


@record
class Hop:
    """One SSH connection: the name that was asked for, what OpenSSH makes of it, and all else it says of it.

    ``values`` holds the directives of ``ssh -G`` under their lower-case keywords; none where it was not asked.
    """

    name: str
    host: str
    port: int
    user: str
    values: Values = factory(dict)

    @property
    def place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def recorded(self) -> str:
        """The name that known-hosts files have for it: ``vm1``, or ``[vm1]:2222`` for another port."""
        alias = self.first("hostkeyalias")
        host = self.host.lower()
        return alias or (host if self.port == 22 else f"[{host}]:{self.port}")

    def first(self, keyword: str, default: str = "") -> str:
        """A directive's value; ``default`` where it has none (OpenSSH's word ``none`` counts as that)."""
        found = self.values.get(keyword, ("",))[0]
        return default if found in ("", "none") else found

    def files(self, keyword: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Paths of a directive that may be repeated or hold several, tokens and ``~`` expanded."""
        found = self.values.get(keyword, default)
        return tuple(self.path(path) for path in found if path != "none")

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """The known-hosts files, the user's own first: new keys are recorded in that one."""
        folder = f"{config_files.home()}/.ssh"
        own = self.values.get("userknownhostsfile", (f"{folder}/known_hosts{_SPLIT}{folder}/known_hosts2",))
        common = self.values.get("globalknownhostsfile", (f"{SYSTEM_KNOWN_HOSTS}{_SPLIT}{SYSTEM_KNOWN_HOSTS}2",))
        names = [name for text in (*own, *common) for name in text.split(_SPLIT)]
        return tuple(self.path(name) for name in names if name != "none")

    @property
    def identity_files(self) -> tuple[str, ...]:
        """Files that may hold private keys, in OpenSSH's order; not all of them exist."""
        return self.files("identityfile", tuple(f"~/.ssh/{name}" for name in DEFAULT_KEYS))

    def path(self, text: str) -> str:
        """A path of the configuration: tokens, ``${NAME}`` and ``~`` expanded."""
        named = re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], ""), self.expand(text))
        return config_files.home() + named[1:] if named == "~" or named.startswith("~/") else os.path.expanduser(named)

    def expand(self, text: str) -> str:
        """Replace OpenSSH's tokens (ssh_config(5), TOKENS)."""
        return re.sub(r"%([%CdhikLlnpru])", lambda match: self._token(match[1]), text)

    def _token(self, letter: str) -> str:
        if letter == "C":
            parts = (self._token("l"), self.host, str(self.port), self.user, self.first("proxyjump"))
            return hashlib.sha1("".join(parts).encode(), usedforsecurity=False).hexdigest()
        local = socket.gethostname()
        tokens = {"%": "%", "d": config_files.home(), "h": self.host, "i": str(os.getuid()), "n": self.name}
        tokens |= {"k": self.first("hostkeyalias", self.host), "l": local, "L": local.partition(".")[0]}
        return {**tokens, "p": str(self.port), "r": self.user, "u": current_user.who()}[letter]


def route(
    name: str, user: str | None, port: int | None, file: str = "", options: tuple[str, ...] = ()
) -> tuple[Hop, ...]:
    """The connections to open one through another, jump hosts first, the host itself last.

    ``file`` stands for ``ssh -F``; ``options`` are further arguments of ``ssh``, for the host itself. Raises
    InventoryError for a configuration that OpenSSH refuses or that loops.
    """
    return _hops(name, user, port, file, options, None, 0)


def _hops(
    name: str,
    user: str | None,
    port: int | None,
    file: str,
    options: tuple[str, ...],
    jump: str | None,
    depth: int,
) -> tuple[Hop, ...]:
    """``jump`` None: as the host's own configuration says."""
    _refuse_shell_text(name, user or "")
    if depth == MAX_HOPS:
        raise InventoryError(f"the jump hosts of {name} form a loop", f"exclude the jump host itself: `Host * !{name}`")
    hop = look_up(name, user, port, file, options)
    through = hop.first("proxyjump") if jump is None else jump
    if not through:
        return (hop,)
    before, _, last = through.rpartition(",")
    jump_user, host, jump_port = _parse_jump(last.strip())
    return (*_hops(host, jump_user, jump_port, file, (), before or None, depth + 1), hop)


def _refuse_shell_text(name: str, user: str) -> None:
    """Raises InventoryError for a host or user that a shell would execute as part of a ProxyCommand, where it has no
    quotes; OpenSSH refuses them since 9.6 (CVE-2023-51385). Who may start a machine in a cloud chooses its name.
    """
    for what, text in (("host", name), ("user", user)):
        if re.search(_SHELL_TEXT[what], text):
            fix = f"correct the {what} (ansible_{what}, or what stands behind -H)"
            raise InventoryError(f"{text!r} cannot be the name of a {what}", fix)


def _parse_jump(text: str) -> tuple[str | None, str, int | None]:
    """``[user@]host[:port]`` or an ssh:// URI, as OpenSSH has checked it."""
    user, at, place = text.removeprefix("ssh://").rstrip("/").rpartition("@")
    match = re.fullmatch(r"\[(.+)\](?::(\d+))?|([^:]+)(?::(\d+))?", place)
    if not match:
        return (user if at else None), place, None
    number = match[2] or match[4]
    return (user if at else None), match[1] or match[3], int(number) if number else None


def _unambiguous(hop: Hop, written: Sequence[Statement]) -> Hop:
    """``ssh -G`` prints lists of files without quotes: a name with a space is recognized by how it was written."""
    paths = [tuple(map(hop.path, statement.words)) for statement in written if statement.keyword in _LISTS]
    lists = {" ".join(names): names for names in paths}
    split = {
        keyword: tuple(_SPLIT.join(lists.get(text, text.split())) for text in found) if keyword in _LISTS else found
        for keyword, found in hop.values.items()
    }
    return replace(hop, values=split)


@functools.cache
def look_up(name: str, user: str | None, port: int | None, file: str = "", options: tuple[str, ...] = ()) -> Hop:
    """What OpenSSH makes of a name. Raises InventoryError with OpenSSH's own words."""
    found = config_files.statements(file)
    if not file and not options and all(statement.keyword in directives.NEUTRAL for statement in found):
        return Hop(name, name, port or 22, user or current_user.login())
    values = ask(name, user, port, file, options)
    return _unambiguous(Hop(name, values["hostname"][0], int(values["port"][0]), values["user"][0], values), found)


def ask(
    name: str, user: str | None = None, port: int | None = None, file: str = "", options: Sequence[str] = ()
) -> Values:
    """The directives that are in force for a name, as ``ssh -G`` prints them. Raises InventoryError."""
    command = ["ssh", "-G", "-T"]
    command += ["-F", file] if file else []
    command += ["-l", user] if user else []
    command += ["-p", str(port)] if port else []
    command += options
    try:
        done = subprocess.run(
            [*command, "--", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASK_SECONDS,
            env=environment.without_passwords(),
        )
    except FileNotFoundError:
        raise InventoryError(
            "there is no ssh program here, which encamp needs to read ~/.ssh/config",
            "install the OpenSSH client, or ignore the file with `fab -S /dev/null`",
        ) from None
    except subprocess.TimeoutExpired:
        raise InventoryError(
            f"`ssh -G {name}` did not answer within {ASK_SECONDS} s", "check `Match exec` in your ssh configuration"
        ) from None
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip() or f"`ssh -G {name}` exits {done.returncode}"
        raise InventoryError(f"OpenSSH refuses its configuration: {reason}", "correct the file, then run again")
    values: dict[str, tuple[str, ...]] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        keyword, _, value = line.partition(" ")
        values[keyword.lower()] = (*values.get(keyword.lower(), ()), value)
    return values
