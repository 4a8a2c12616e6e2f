"""The command lines that start something on a host: the agent, or the one step that installs Python for it."""

from __future__ import annotations

import shlex

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
_INSTALL = """exec 1>&2 </dev/null
if command -v apt-get; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update && exec apt-get -q install -y --no-install-recommends python3
elif command -v dnf; then exec dnf -q -y install python3
elif command -v yum; then exec yum -q -y install python3
elif command -v zypper; then exec zypper -q -n install python3
elif command -v apk; then exec apk add python3
fi
echo 'no package manager that encamp knows: apt-get, dnf, yum, zypper, apk'
exit 1
"""


@record
class LaunchSpec:
    """How the agent is started on a host: which Python, whether as root, with which sudo password.

    ``terminal``: sudo is to have a controlling terminal. ``bootstrap``: Python may be installed where there is none.
    ``step_timeout``: seconds that a step may take; 0: as long as it likes.
    """

    name: str
    python: str = "python3"
    become: bool = True
    password: Secret | None = None
    terminal: bool = False
    bootstrap: bool = False
    step_timeout: float = 0


def agent_command(remote: LaunchSpec, prompt: str) -> str:
    """Stage 0 as a command line. It holds no data."""
    argv = _as_root(remote, prompt, [remote.python, "-I", "-S", "-c", STAGE0])
    return shlex.join([remote.python, "-I", "-S", "-c", _IN_TERMINAL, *argv] if remote.terminal else argv)


def install_command(remote: LaunchSpec, prompt: str) -> str:
    """The command line that installs Python."""
    return shlex.join(_as_root(remote, prompt, ["/bin/sh", "-c", _INSTALL]))


def _as_root(remote: LaunchSpec, prompt: str, argv: list[str]) -> list[str]:
    """With sudo's own words in English, so that they can be recognized."""
    return ["env", "LC_ALL=C", "sudo", "-S", "-p", prompt, "-H", "--", *argv] if remote.become else argv
