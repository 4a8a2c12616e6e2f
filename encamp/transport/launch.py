"""The command lines that start something on a host: the agent, or the one step that installs Python for it."""

from __future__ import annotations

import binascii
import functools
import shlex
import zlib
from collections.abc import Callable

from encamp.agent.boot import STAGE0
from encamp.shared.record import record
from encamp.shared.secret import Secret

#: Gives a program a terminal that controls it, and leaves its input and output alone: what sudo's requiretty asks for.
_IN_TERMINAL = r"""
import fcntl,os,select,sys,termios
m,s=os.openpty()
p=os.fork()
if not p:
    os.setsid();fcntl.ioctl(s,termios.TIOCSCTTY,0);os.close(m);os.close(s)
    os.execvp(sys.argv[1],sys.argv[1:])
os.close(0);os.close(1)
while 1:
    e,w=os.waitpid(p,os.WNOHANG)
    if e: os._exit(w>>8 or w&127)
    if select.select([m],[],[],.2)[0]: os.read(m,4096)
"""
#: One package, by whatever the distribution has for that. Its words go to standard error, for when it fails.
_INSTALL_LINES = """exec 1>&2 </dev/null
if command -v apt-get >/dev/null
then export DEBIAN_FRONTEND=noninteractive
apt-get -q update && exec apt-get -q install -y --no-install-recommends python3
elif command -v dnf
then exec dnf -q -y install python3
elif command -v yum
then exec yum -q -y install python3
elif command -v zypper
then exec zypper -q -n install python3
elif command -v apk
then exec apk add python3
fi
echo no package manager that encamp knows: apt-get, dnf, yum, zypper, apk
exit 1"""
#: On one line: csh's family takes no line end inside quotes.
_INSTALL = "; ".join(_INSTALL_LINES.splitlines())
#: A program for ``python3 -c`` on one line of characters that every login shell takes inside single quotes. In pieces:
#: csh(1) takes no word above 1,023 characters.
_UNPACK = (
    "import sys,zlib,binascii;p=sys.argv[1:{0}];del sys.argv[1:{0}];"
    "exec(zlib.decompress(binascii.a2b_base64(str().join(p))))"
)
_WORD = 1000


@record
class LaunchSpec:
    """How the agent is started on a host: which Python, whether as root, with which sudo password.

    ``terminal``: sudo is to have a controlling terminal. ``bootstrap``: Python may be installed where there is none.
    ``step_timeout``: seconds that a step may take; 0: as long as it likes. ``ask`` answers what sudo asks beyond the
    password, such as a code; None without a terminal.
    """

    name: str
    python: str = "python3"
    become: bool = True
    password: Secret | None = None
    terminal: bool = False
    bootstrap: bool = False
    step_timeout: float = 0
    ask: Callable[[str, bool], str] | None = None


def agent_command(remote: LaunchSpec, prompt: str) -> str:
    """Stage 0 as a command line. It holds no data."""
    argv = _as_root(remote, prompt, [remote.python, "-I", "-S", "-c", *_words(STAGE0)])
    return shlex.join([remote.python, "-I", "-S", "-c", *_words(_IN_TERMINAL), *argv] if remote.terminal else argv)


@functools.cache
def _words(program: str) -> list[str]:
    """A program for ``-c`` in words that no shell changes: sh, bash, zsh, ksh, csh, tcsh, fish."""
    text = binascii.b2a_base64(zlib.compress(program.strip().encode(), 9), newline=False).decode()
    pieces = [text[at : at + _WORD] for at in range(0, len(text), _WORD)]
    return [_UNPACK.format(len(pieces) + 1), *pieces]


def install_command(remote: LaunchSpec, prompt: str) -> str:
    """The command line that installs Python."""
    return shlex.join(_as_root(remote, prompt, ["/bin/sh", "-c", _INSTALL]))


def _as_root(remote: LaunchSpec, prompt: str, argv: list[str]) -> list[str]:
    """With sudo's own words in English, so that they can be recognized."""
    return ["env", "LC_ALL=C", "sudo", "-S", "-p", prompt, "-H", "--", *argv] if remote.become else argv
