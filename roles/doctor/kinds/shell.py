"""The environment that a user's own processes get: of a login shell, and of what systemd starts for the user."""

from __future__ import annotations

import os
import pwd
from typing import Iterator, Mapping

from encamp.resources.system import Reader
from roles.prefect.kinds.user_environment import (
    SESSION,
    Variable,
    assignments,
    exists,
    exports,
    names_in,
    session,
    text_of,
)

#: The files a login shell reads, by its name, in the order in which they act. Of a tuple only the first that exists.
READS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "bash": ((".bashrc",), (".bash_profile", ".bash_login", ".profile")),
    "zsh": ((".zshenv",), (".zprofile",), (".zshrc",), (".zlogin",)),
    "fish": ((".config/fish/config.fish",),),
    "sh": ((".profile",),),
}
#: Variables of other programs that decide how a client reaches its server.
OTHERS = ("SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
#: Printed by ``systemctl --user show-environment``; stands where Variable has a file and a line.
MANAGER = "this user's systemd"


def login_variables(host: Reader, local: bool) -> dict[str, list[Variable]]:
    """Each PREFECT_* variable of a login shell, by name, the one that acts first.

    ``local``: encamp was started from the user's own shell, whose environment is then the truth. Elsewhere the login
    files, read in the shell's order, come after what the session was given.
    """
    found: dict[str, list[Variable]] = {}
    for variable in [*_of_session(host), *([] if local else _of_files(host))]:
        found.setdefault(variable.name, []).insert(0, variable)
    return found


def other_variables(host: Reader) -> dict[str, str]:
    """Variables of :data:`OTHERS`, in capitals."""
    return {name.upper(): value for name, value in session(host).items() if name.upper() in OTHERS and value}


def systemd_variables(host: Reader) -> dict[str, Variable]:
    """PREFECT_* variables of what systemd starts for this user: as its manager has them now, else as its files say."""
    found = {variable.name: variable for variable in _of_environment_d(host)}
    runtime = f"/run/user/{os.geteuid()}"
    if not exists(host, f"{runtime}/systemd/private"):
        return found
    environment = {"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
    shown = host.query(["systemctl", "--user", "show-environment"], env=environment, timeout=5)
    for variable in assignments(shown.out if shown.ok else "", MANAGER):
        known = found.get(variable.name)
        if known is None or known.value != variable.value:
            found[variable.name] = Variable(variable.name, variable.value, MANAGER)
    return found


def _of_session(host: Reader) -> Iterator[Variable]:
    for name, value in sorted(session(host).items()):
        if name.startswith("PREFECT_"):
            yield Variable(name, value, SESSION)


def _of_files(host: Reader) -> Iterator[Variable]:
    for path in ("/etc/environment", f"{host.home}/.pam_environment"):
        yield from assignments(text_of(host, path), path)
    for path in ("/etc/profile", *_profile_d(host), *_own(host)):
        yield from exports(text_of(host, path), path)


def _profile_d(host: Reader) -> Iterator[str]:
    return (f"/etc/profile.d/{name}" for name in names_in(host, "/etc/profile.d") if name.endswith(".sh"))


def _own(host: Reader) -> Iterator[str]:
    """The user's own files that the login shell reads."""
    for names in READS.get(_shell(), READS["sh"]):
        paths = [f"{host.home}/{name}" for name in names]
        yield from [path for path in paths if exists(host, path)][:1]


def _shell() -> str:
    try:
        return os.path.basename(pwd.getpwuid(os.geteuid()).pw_shell)
    except KeyError:
        return "sh"


def _of_environment_d(host: Reader) -> Iterator[Variable]:
    for folder in ("/etc/environment.d", f"{host.home}/.config/environment.d"):
        for name in names_in(host, folder):
            if name.endswith(".conf"):
                yield from assignments(text_of(host, f"{folder}/{name}"), f"{folder}/{name}")
