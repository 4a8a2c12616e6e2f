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
_SHOWS = "`ssh -t HOST sudo -v` shows"
#: What sudo, sudo-rs and PAM say of a wrong password.
_WRONG = re.compile(r"try again|incorrect (?:password|authentication)|authentication fail", re.IGNORECASE)
_EXPIRED = re.compile(
    r"(?:password|account)[^\n]*\b(?:expired|change required)|required to change your password", re.IGNORECASE
)
_LIMIT = re.compile(
    r"MemoryError|[Cc]annot allocate memory|failed to map segment|can't start new thread|Too many open files"
)
_LIMITS = (
    "`ssh HOST ulimit -a` shows the limits of this login (/etc/security/limits.conf), `free -m` the host's memory: "
    "raise what is short"
)


class NoPython(HostFailed):
    """The host has no Python under that name, or sudo does not find it."""


class NeedsTerminal(BecomeRefused):
    """sudo works only with a terminal (requiretty)."""


class AgentEnded(HostFailed):
    """The agent ended before it was done, on a connection that was there."""


def wrong_password(said: str = "") -> BecomeRefused:
    return BecomeRefused(
        f"sudo does not accept the password{said and f': {said}'}",
        "set the right one (ENCAMP_BECOME_PASSWORD, ansible_become_password): the login's own, or root's where sudoers "
        "has rootpw or targetpw; it was sent only once",
    )


def asked_again(said: str) -> BecomeRefused:
    """sudo asks a second time with our prompt, without its words about a wrong password."""
    causes = ["a second factor (a code), for which encamp needs a terminal to ask you on"]
    causes.insert(0 if said else 1, "a wrong password that the host reports in words of its own")
    return BecomeRefused(
        f"sudo asks again after it got the password{said and f', and said: {said}'}",
        f"{_SHOWS} what it asks; likely first: {'; '.join(causes)}",
    )


def asks_otherwise(question: str) -> BecomeRefused:
    """sudo waits for an answer to something that is not our prompt."""
    return BecomeRefused(
        f"sudo asks {question!r}, and there is no terminal to answer on",
        f"run encamp on a terminal, where it asks you; or exempt this user from that step in the host's PAM "
        f"(/etc/pam.d/sudo); {_SHOWS} the dialogue",
    )


def silent_sudo(seconds: float) -> BecomeRefused:
    """sudo got the password and has said nothing since."""
    return BecomeRefused(
        f"sudo has not started the agent within {seconds:.0f} s after it got the password",
        f"{_SHOWS} what it waits for; likely first: a confirmation on a phone or a key, an LDAP or Kerberos server "
        "that does not answer",
    )


def password_wanted() -> BecomeRefused:
    return BecomeRefused(
        "sudo asks for a password, or this user may not use sudo",
        "set a password (ENCAMP_BECOME_PASSWORD, ansible_become_password, or fab --prompt-for-sudo-password), "
        "or allow the user `NOPASSWD: ALL` in /etc/sudoers.d",
    )


def says_wrong(text: str) -> bool:
    """Whether sudo's words report a wrong password."""
    return bool(_WRONG.search(text))


def of_agent(remote: LaunchSpec, errors: str, heard: list[str], status: int) -> HostFailed:
    """The failure that the last lines of standard error, what was heard instead of READY, and the status speak of.

    sudo's words are English; the shell's may be in any language.
    """
    if _EXPIRED.search(errors):
        return BecomeRefused(
            f"the password or the account of this login has expired: {errors}",
            "log in with `ssh -t HOST` and change it, or have root extend it (`chage -l USER` shows the dates)",
        )
    if says_wrong(errors):
        return wrong_password(errors)
    if re.search("(password|authentication) is required", errors):
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
    if "restricted" in errors:  # rbash and kin: no command with a slash, no redirection
        return HostFailed(
            f"the login shell is a restricted one: {errors}",
            "give this user another shell (`chsh -s /bin/sh USER` as root), or name another login in ansible_user",
        )
    output = "\n".join(filter(None, [errors, *heard])) or "the session ended without any output"
    if _LIMIT.search(output):
        return HostFailed(f"Python could not start: {output}", _LIMITS)
    return HostFailed(
        f"the agent did not start: {output}",
        "try `ssh HOST python3 --version`; a login shell such as nologin (`getent passwd USER`) runs nothing",
    )


def of_install(errors: str) -> HostFailed:
    return HostFailed(
        f"python3 could not be installed: {errors or 'the session ended without any output'}",
        "install it manually, then run again",
    )


def of_end(errors: str, status: int) -> EncampError:
    """Why an agent that had started ended without its last event. A ``status`` below 0: a signal ended it."""
    if status == _ALONE:
        return Unreachable("the host lost contact with this machine and stopped the run", AGAIN)
    if _LIMIT.search(errors):
        return AgentEnded(f"the agent ended before it had finished: {errors}", _LIMITS)
    how = f"ended with status {status}" if 0 <= status < _SHELL_KILLED else "was killed"
    return AgentEnded(
        f"the agent {how} before it had finished{errors and f': {errors}'}",
        f"{AGAIN}; `journalctl -b` on the host shows whether memory ran out or the host was shut down",
    )
