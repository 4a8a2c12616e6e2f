"""Verification of a unit before it is installed: by systemd, and of what systemd does not look at."""

from __future__ import annotations

import re
from typing import Iterator

from encamp.resources.base import Failure
from encamp.resources.system import Reader, System

VERIFY = ("systemd-analyze", "verify", "--man=no")
# Older versions colour their output even without a terminal.
PLAIN = {"SYSTEMD_LOG_COLOR": "0"}


def verify_unit(host: System, name: str, text: str) -> None:
    """Run ``systemd-analyze verify`` on the unit before it is installed. Raises Failure with its messages.

    systemd identifies a unit by its file's name, so the candidate has that name, in a temporary directory.
    """
    directory = f"/run/encamp-verify-{name}"
    candidate = f"{directory}/{name}"
    host.remove(directory)
    host.mkdir(directory, "root", "root", 0o700)
    try:
        host.write(candidate, text)
        complaints = _complaints(host, name, candidate)
    finally:
        host.remove(directory)
    if complaints:
        raise Failure(
            f"systemd rejects the new {name}; the old one stays",
            complaints[0],
            "correct the unit's template or settings; its programs must be installed first",
            "\n".join(complaints),
        )


def _complaints(host: Reader, name: str, candidate: str) -> list[str]:
    """The messages about this unit itself. Errors in other units that it pulls in are ignored."""
    result = host.query([*VERIFY, "--recursive-errors=no", candidate], env=PLAIN)
    if "unrecognized option" in result.err:
        # Before systemd 250 (Debian 11) the output covers all units that were read.
        result = host.query([*VERIFY, candidate], env=PLAIN)
    elif result.ok:
        return []
    lines = complaints_about(name, candidate, result.err)
    if not lines and not result.ok and name not in result.err:
        last = result.tail.rpartition("\n")[2]
        host.note(f"systemd-analyze could not verify {name} ({last}); starting it will show whether it works")
    return lines


def complaints_about(name: str, candidate: str, output: str) -> list[str]:
    """Those lines of ``systemd-analyze verify`` that concern the unit ``name``, whose new file is ``candidate``."""
    # A template is verified as an instance that systemd chooses: text follows the @.
    prefix = name.partition("@")[0] + "@" if "@." in name else f"{name}:"
    lines = [line for line in output.splitlines() if line.startswith((candidate, prefix, f"Unit {name} "))]
    # These two are about a unit that x requires, or a socket hands over to: it may come later.
    others = (": Failed to create ", "not loaded, socket cannot be started")
    return [line.replace(candidate, name) for line in lines if not any(words in line for words in others)]


def check_accounts(host: Reader, name: str, text: str) -> None:
    """Raise Failure for users and groups that do not exist: ``verify`` accepts them, but the start would fail."""
    if re.search(r"^DynamicUser\s*=\s*(yes|true|on|1)\s*$", text, re.MULTILINE | re.IGNORECASE):
        return
    for database, account in _accounts(text):
        if host.query(["getent", database, account]).code == 2:
            kind = "user" if database == "passwd" else "group"
            raise Failure(
                f"{name} uses the {kind} {account}, which does not exist on this host; the old unit stays",
                fix=f"declare the {kind} before the unit",
            )


def _accounts(text: str) -> Iterator[tuple[str, str]]:
    """A unit's users and groups, as (getent database, name), without those with specifiers such as %i."""
    databases = {"User": "passwd", "Group": "group", "SupplementaryGroups": "group"}
    for key, value in re.findall(r"^(User|Group|SupplementaryGroups)\s*=\s*(.*?)\s*$", text, re.MULTILINE):
        yield from ((databases[key], word) for word in value.split() if "%" not in word)
