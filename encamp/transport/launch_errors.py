"""Why an agent did not start, or ended too soon, from the output of shell, sudo and Python."""

from __future__ import annotations

import re

from encamp.errors import BecomeRefused, EncampError, HostFailed, Unreachable
from encamp.transport.launch import LaunchSpec

#: What shells and sudo say about a missing program, and the status that shells and env(1) end with then.
_MISSING = re.compile("not found|No such file|Unknown command")
_NOT_FOUND = 127
#: What an agent ends with that lost contact with the controller (encamp.agent.main).
_ALONE = 4
#: From here on, a shell reports a signal.
_SHELL_KILLED = 128
AGAIN = "run again: it continues where it stopped"


class NoPython(HostFailed):
    """The host has no Python under that name, or sudo does not find it."""


class NeedsTerminal(BecomeRefused):
    """sudo works only with a terminal (requiretty)."""


class AgentEnded(HostFailed):
    """The agent ended before it was done, on a connection that was there."""


def wrong_password() -> BecomeRefused:
    return BecomeRefused(
        "sudo does not accept the password",
        "set the right one (ENCAMP_BECOME_PASSWORD, ansible_become_password); it was sent only once",
    )


def password_wanted() -> BecomeRefused:
    return BecomeRefused(
        "sudo asks for a password, or this user may not use sudo",
        "set a password (ENCAMP_BECOME_PASSWORD, ansible_become_password, or fab --prompt-for-sudo-password), "
        "or allow the user `NOPASSWD: ALL` in /etc/sudoers.d",
    )


def of_agent(remote: LaunchSpec, errors: str, heard: list[str], status: int) -> HostFailed:
    """The failure that the last lines of standard error, what was heard instead of READY, and the status speak of.

    sudo's words are English; the shell's may be in any language.
    """
    if "password is required" in errors:
        return password_wanted()
    if re.search(r"sudo: .*\b(tty|terminal)\b", errors):
        return NeedsTerminal(f"sudo refuses: {errors}", "remove requiretty from /etc/sudoers for this user")
    if "sudoers" in errors or "not allowed to" in errors:
        return BecomeRefused(f"sudo refuses: {errors}", "allow this user to use sudo on the host")
    if re.search(r"sudo: (command )?not found", errors) or (remote.become and status == _NOT_FOUND):
        return BecomeRefused("sudo is not installed on the host", "install it, or log in as root")
    named = any(remote.python in line and _MISSING.search(line) for line in errors.splitlines())
    if named or status == _NOT_FOUND:
        return NoPython(
            f"{remote.python.removeprefix('/usr/bin/')} is not installed on the host",
            "install python3 there (apt-get install python3), or set bootstrap_python: true to have a deploy do it",
        )
    output = "\n".join(filter(None, [errors, *heard])) or "the session ended without any output"
    return HostFailed(f"the agent did not start: {output}", "try `ssh HOST python3 --version`")


def of_install(errors: str) -> HostFailed:
    return HostFailed(
        f"python3 could not be installed: {errors or 'the session ended without any output'}",
        "install it manually, then run again",
    )


def of_end(errors: str, status: int) -> EncampError:
    """Why an agent that had started ended without its last event. A ``status`` below 0: a signal ended it."""
    if status == _ALONE:
        return Unreachable("the host lost contact with this machine and stopped the run", AGAIN)
    how = f"ended with status {status}" if 0 <= status < _SHELL_KILLED else "was killed"
    return AgentEnded(
        f"the agent {how} before it had finished{errors and f': {errors}'}",
        f"{AGAIN}; `journalctl -b` on the host shows whether memory ran out or the host was shut down",
    )
