"""What the login of the agent's user puts into every Prefect process: PREFECT_* variables and where profiles lie.

On Linux: the session, environment files, and what shells read. On macOS, whose shell is zsh, besides: what launchd
gives to programs that are started from the Dock, by ``launchctl setenv`` or by an agent in ~/Library/LaunchAgents.
"""

from __future__ import annotations

import os
import re
from typing import Iterator, Optional

from encamp.resources.base import Failure
from encamp.resources.system import Reader
from encamp.shared.record import record

SHELL_FILES = (
    ".profile",
    ".bash_profile",
    ".bash_login",
    ".bashrc",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".zlogin",
    ".config/fish/config.fish",
)
#: Read by every user's zsh: Debian's places, then macOS's.
SYSTEM_ZSH = (
    *(f"/etc/zsh/{name}" for name in ("zshenv", "zprofile", "zshrc")),
    *(f"/etc/{name}" for name in ("zshenv", "zprofile", "zshrc")),
)
LAUNCHCTL = "/bin/launchctl"
LAUNCH_AGENTS = "Library/LaunchAgents"
LAUNCHD = "`launchctl getenv`"
#: What is asked of launchd, which lists no names.
ASKED = ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH", "PREFECT_HOME", "PREFECT_API_KEY")
ASSIGNMENT = re.compile(r"(?<![\w$])(PREFECT_[A-Z0-9_]+)=(\"[^\"]*\"|'[^']*'|[^\s;#]*)")
FISH = re.compile(r"^\s*set\s+(?:-\w+\s+)*-\w*x\w*\s+(?:-\w+\s+)*(PREFECT_[A-Z0-9_]+)\s+(\"[^\"]*\"|'[^']*'|[^\s;#]*)")
EXPORT = re.compile(r"^\s*(?:export|declare\s+-\w*x\w*|typeset\s+-\w*x\w*)\s")
SESSION = "this session's environment"


@record
class Variable:
    """A PREFECT_* variable and where it comes from: ``file:line``, or :data:`SESSION`."""

    name: str
    value: str
    source: str


def names_in(host: Reader, path: str) -> list[str]:
    """Names in a directory; empty where there is none or it may not be read."""
    try:
        return host.listdir(path)
    except OSError:
        return []


def exists(host: Reader, path: str) -> bool:
    """Whether something is there that this user may see."""
    try:
        return host.stat(path) is not None
    except OSError:
        return False


def text_of(host: Reader, path: str) -> str:
    """A text file, odd bytes replaced; empty where there is none or it may not be read."""
    try:
        return (host.read(path) or b"").decode("utf-8", "replace")
    except Failure:
        return ""


def session(host: Reader) -> dict[str, str]:
    """The environment that the agent was started with.

    Read from /proc, through the door; where there is no /proc (macOS) from this process, whose environment it is.
    """
    raw = host.read("/proc/self/environ")
    if raw is None:
        return dict(os.environ)
    pairs = (item.partition("=") for item in raw.decode("utf-8", "replace").split("\0"))
    return {name: value for name, _, value in pairs if name}


def variables(host: Reader) -> list[Variable]:
    """Every PREFECT_* variable that this user's processes may see: the session's first, then those of login files."""
    return host.once("prefect-variables", lambda: [*_of_session(host), *_of_files(host), *_of_launchd(host)])


def _of_session(host: Reader) -> Iterator[Variable]:
    for name, value in sorted(session(host).items()):
        if name.startswith("PREFECT_"):
            yield Variable(name, value, SESSION)


def _of_files(host: Reader) -> Iterator[Variable]:
    for path in ("/etc/environment", f"{host.home}/.pam_environment", *_environment_d(host)):
        yield from assignments(text_of(host, path), path)
    own = (f"{host.home}/{name}" for name in SHELL_FILES)
    for path in ("/etc/profile", *_profile_d(host), *SYSTEM_ZSH, *own):
        yield from exports(text_of(host, path), path)


def _of_launchd(host: Reader) -> Iterator[Variable]:
    """What programs on macOS get that no shell starts. ``launchctl setenv`` counts until the next login."""
    folder = os.path.join(host.home, LAUNCH_AGENTS)
    for name in names_in(host, folder):
        if name.endswith(".plist"):
            yield from _of_agent(text_of(host, os.path.join(folder, name)), os.path.join(folder, name))
    for name in ASKED if exists(host, LAUNCHCTL) else ():
        value = host.query([LAUNCHCTL, "getenv", name], timeout=5).out.strip()
        if value:
            yield Variable(name, value, LAUNCHD)


def _of_agent(text: str, path: str) -> Iterator[Variable]:
    """Variables of a launch agent that stand in XML: its own environment, and what it gives to `launchctl setenv`."""
    pair = r"<key>(PREFECT_[A-Z0-9_]+)</key>\s*<string>([^<]*)</string>"
    command = r"<string>setenv</string>\s*<string>(PREFECT_[A-Z0-9_]+)</string>\s*<string>([^<]*)</string>"
    for found in [*re.finditer(pair, text), *re.finditer(command, text)]:
        yield Variable(found[1], found[2], f"{path}:{text.count(chr(10), 0, found.start(1)) + 1}")


def _environment_d(host: Reader) -> list[str]:
    folder = f"{host.home}/.config/environment.d"
    return [f"{folder}/{name}" for name in names_in(host, folder) if name.endswith(".conf")]


def _profile_d(host: Reader) -> list[str]:
    return [f"/etc/profile.d/{name}" for name in names_in(host, "/etc/profile.d") if name.endswith(".sh")]


def assignments(text: str, path: str) -> Iterator[Variable]:
    """PREFECT_X=value lines of a file that is not a script (``.env``, /etc/environment)."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#"):
            for found in ASSIGNMENT.finditer(line):
                yield Variable(found[1], _unquoted(found[2]), f"{path}:{number}")


def exports(text: str, path: str) -> Iterator[Variable]:
    """PREFECT_* variables that a shell start file exports. Plain assignments count where an export follows by name."""
    exported = set(re.findall(r"^\s*export\s+(?:\w+\s+)*?(PREFECT_[A-Z0-9_]+)\s*(?:$|[;#])", text, re.MULTILINE))
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        fish = FISH.match(line)
        if fish:
            yield Variable(fish[1], _unquoted(fish[2]), f"{path}:{number}")
        for found in ASSIGNMENT.finditer(line):
            if EXPORT.match(line) or found[1] in exported or re.search(r"[;&]\s*export\s", line):
                yield Variable(found[1], _unquoted(found[2]), f"{path}:{number}")


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] in "\"'" and value[-1] == value[0] else value


def profiles_path(host: Reader, declared: str = "") -> str:
    """This user's profiles file: ``declared``, else by PREFECT_PROFILES_PATH, PREFECT_HOME, or below ~/.prefect."""
    if declared:
        return _expanded(declared, host.home) or declared
    path = _value_of(host, "PREFECT_PROFILES_PATH")
    if path:
        return path
    home = _value_of(host, "PREFECT_HOME") or os.path.join(host.home, ".prefect")
    return os.path.join(home, "profiles.toml")


def _value_of(host: Reader, name: str) -> Optional[str]:
    """First usable value of a path variable; one that a shell would have to work out is left alone."""
    for variable in variables(host):
        if variable.name == name:
            path = _expanded(variable.value, host.home)
            if path:
                return path
    return None


def _expanded(value: str, home: str) -> Optional[str]:
    """``~`` and ``$HOME`` filled in; None when that does not give an absolute path."""
    path = re.sub(r"^(?:~|\$HOME|\$\{HOME\})(?=/|\\|$)", lambda _: home, value)
    return path if os.path.isabs(path) and "$" not in path and "`" not in path else None
