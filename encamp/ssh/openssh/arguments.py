"""The command line of ``ssh`` that reaches a host on encamp's terms; jump hosts are ProxyCommands on the same terms."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from encamp.ssh.config import Hop
from encamp.ssh.openssh.questions import HOP
from encamp.ssh.target import Address

PROGRAM = "ssh"
#: Nothing but one command with two streams, whatever the configuration says of interactive use. A dead link is known
#: within 30 s. The log goes to a file of its own. A ControlMaster that is there is used; none is left behind.
_FIXED = """
    LogLevel=DEBUG1 RequestTTY=no RemoteCommand=none ClearAllForwardings=yes ForwardAgent=no ForwardX11=no
    ControlMaster=no UpdateHostKeys=no EscapeChar=none ServerAliveInterval=10 ServerAliveCountMax=3
    NumberOfPasswordPrompts=1 IgnoreUnknown=StdinNull,ForkAfterAuthentication,SessionType StdinNull=no
    ForkAfterAuthentication=no SessionType=default
"""


def command_line(address: Address, logs: Sequence[Path], mark: str, ask: bool) -> list[str]:
    """Up to the host's name; the command follows. ``logs``: one file for each hop. ``ask``: questions have answers."""
    argv: list[str] = []
    for number, hop in enumerate(address.route):
        last = number == len(address.route) - 1
        argv = [
            *(PROGRAM, "-T", "-E", str(logs[number])),
            *(["-F", address.config_file] if address.config_file else []),
            *_settings(address, hop, ask),
            *(_option("ProxyCommand", _through(argv, address.route[number - 1], hop, number - 1)) if argv else []),
            *(_at_the_end(address, mark) if last else ["-o", "PermitLocalCommand=no", "-o", "ControlPath=none"]),
            *("-l", hop.user, "-p", str(hop.port)),
        ]
    return [*argv, "--", address.route[-1].name]


def _settings(address: Address, hop: Hop, ask: bool) -> list[str]:
    policy = address.policy
    found = [word for one in _FIXED.split() for word in ("-o", one)]
    found += _option("ConnectTimeout", str(max(1, round(policy.timeout))))
    found += _option("StrictHostKeyChecking", "accept-new" if policy.accept_new else "yes")
    found += _option("BatchMode", "no" if ask else "yes")
    if policy.known_hosts:
        files = dict.fromkeys((policy.known_hosts, *hop.known_hosts))
        found += _option("UserKnownHostsFile", " ".join(map(_path, files)))
    for path in policy.keys:
        found += _option("IdentityFile", _path(path))
    return found


def _at_the_end(address: Address, mark: str) -> list[str]:
    """For the host itself: what tells that the log-in is over, and the inventory's own arguments, which count less."""
    word = f"/bin/sh -c 'echo {mark} >&2'"
    return [*_option("PermitLocalCommand", "yes"), *_option("LocalCommand", word), *_without_jump(address.options)]


def _without_jump(options: Sequence[str]) -> list[str]:
    """ssh takes no -J beside a ProxyCommand, which stands for it here."""
    before = ("", *options)
    return [word for word, last in zip(options, before, strict=False) if not word.startswith("-J") and last != "-J"]


def _through(argv: Sequence[str], jump: Hop, hop: Hop, number: int) -> str:
    """The command that pipes to ``hop`` by way of ``jump``."""
    whole = ["env", f"{HOP}={number}", *argv, "-W", f"[{hop.host}]:{hop.port}", "--", jump.name]
    return shlex.join(whole).replace("%", "%%")


def _option(keyword: str, value: str) -> list[str]:
    return ["-o", f"{keyword}={value}"]


def _path(path: str) -> str:
    """A file's name as OpenSSH's configuration takes it: quoted, without tokens."""
    return '"' + path.replace("%", "%%").replace('"', '\\"') + '"'
