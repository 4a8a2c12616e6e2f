"""Warnings about directives of OpenSSH's configuration that are in force for a host and have no effect here."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from encamp.errors import InventoryError
from encamp.ssh import config_files, programs
from encamp.ssh.config import Hop, Values
from encamp.ssh.config_files import Statement
from encamp.ssh.directives import BY_OPENSSH, IGNORED, NEUTRAL, OBEYED, REFUSED

#: Values of theirs that ask for nothing beyond what encamp does anyway.
_HARMLESS = {"stricthostkeychecking": ("true", "yes", "ask", "accept-new")}


def warnings(hop: Hop, file: str = "", options: Sequence[Statement] = (), by_openssh: bool = False) -> list[str]:
    """What of OpenSSH's configuration is in force for this host and not obeyed, each with its file and line.

    ``options``: statements of the inventory's own. ``by_openssh``: ``ssh`` is the way to the host.
    Raises InventoryError where leaving it out would not be safe.
    """
    found = []
    for statement in _in_force(hop, file, options):
        if by_openssh and statement.keyword not in IGNORED:
            continue
        if statement.keyword in REFUSED:
            raise InventoryError(
                f"{_shown(statement)} is not supported with transport: paramiko (for {hop.name})",
                f"set transport: openssh, or {BY_OPENSSH[statement.keyword]}",
                statement.origin,
            )
        found.append(f"{statement.origin}: {_shown(statement)} has no effect here: {_reason(statement)}")
    return found


def by_openssh(hop: Hop, file: str = "", options: Sequence[Statement] = ()) -> str:
    """The first directive that is in force for this host and that ``ssh`` obeys and paramiko's way does not, with its
    place; empty for none."""
    for statement in _in_force(hop, file, options):
        if statement.keyword not in IGNORED:
            return f"{_shown(statement)} ({statement.origin})"
    return ""


def _reason(statement: Statement) -> str:
    unknown = "encamp does not know this directive"
    return IGNORED.get(statement.keyword) or BY_OPENSSH.get(statement.keyword, unknown)


def _in_force(hop: Hop, file: str, options: Sequence[Statement]) -> list[Statement]:
    """The statements that are not obeyed and that count for this host, one for each keyword."""
    if not hop.values:
        return []
    written: dict[str, list[Statement]] = {}
    for statement in (*options, *config_files.statements(file)):
        if _has_no_effect(statement):
            written.setdefault(statement.keyword, []).append(statement)
    return [_where(hop, found) for keyword, found in written.items() if _counts(hop, keyword)]


def _has_no_effect(statement: Statement) -> bool:
    """Distributions enable Kerberos for everybody: only the user's own line counts."""
    if statement.keyword == "gssapiauthentication" and statement.origin.file.startswith("/etc/ssh/"):
        return False
    return statement.keyword in IGNORED or statement.keyword in BY_OPENSSH or statement.keyword not in NEUTRAL | OBEYED


def _counts(hop: Hop, keyword: str) -> bool:
    """Whether a directive's value for this host differs from what OpenSSH has without any configuration."""
    value = hop.values.get(keyword, ())
    return value != _defaults().get(keyword, ()) and not set(value) & set(_HARMLESS.get(keyword, ()))


@functools.cache
def _defaults() -> Values:
    from encamp.ssh.config import ask

    return ask("localhost", file="none")


def _where(hop: Hop, found: list[Statement]) -> Statement:
    """The statement that most likely set the value: the first one under a block that is for this host."""
    return next((statement for statement in found if _is_for(hop, statement.block)), found[0])


def _is_for(hop: Hop, block: Statement | None) -> bool:
    """Whether a Host line names the host. Of a Match line only OpenSSH knows; it may be."""
    if block is None or block.keyword == "match":
        return True
    positive = [word for word in block.words if not word.startswith("!")]
    negative = [word[1:] for word in block.words if word.startswith("!")]
    return any(config_files.matches(word, hop.name) for word in positive) and not any(
        config_files.matches(word, hop.name) for word in negative
    )


def _shown(statement: Statement) -> str:
    return f"{statement.keyword} {programs.shown(statement.value)}"
