"""pg_hba.conf as text and as rows: encamp's marked block, and which rule applies to a connection. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Mapping, Optional, Sequence, Union

from encamp.shared.record import record

BEGIN = b"# BEGIN encamp: managed lines. Write your own rules below END encamp."
END = b"# END encamp"
_NAME = b"# rule "

_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
DATABASE_WORDS = ("all", "sameuser", "samerole", "samegroup", "replication")
USER_WORDS = ("all",)
#: The transports that each connection type matches.
_TRANSPORTS = {
    "local": {"socket"},
    "host": {"plain", "ssl", "gss"},
    "hostssl": {"ssl"},
    "hostnossl": {"plain", "gss"},
    "hostgssenc": {"gss"},
    "hostnogssenc": {"plain", "ssl"},
}
Address = Union[str, ipaddress.IPv4Network, ipaddress.IPv6Network]
Row = Mapping[str, Any]  #: a row of pg_hba_file_rules


@record
class Rule:
    """One rule, from a declaration or from a row of ``pg_hba_file_rules``. ``address`` is empty for local ones."""

    connection: str
    databases: frozenset[str]
    users: frozenset[str]
    address: Address
    method: str
    options: frozenset[str]


@record
class Block:
    """encamp's block: each rule's line by its name, that line's number (from 1), and the file without the block."""

    rules: Mapping[str, bytes]
    numbers: Mapping[str, int]
    foreign: tuple[bytes, ...]


def token(word: str, keywords: Sequence[str] = ()) -> str:
    """A database or user name in pg_hba.conf's syntax. ``keywords`` keep their meaning; a group is ``+name``."""
    if word in keywords:
        return word
    if word.startswith("+"):
        return "+" + token(word[1:])
    if _PLAIN.fullmatch(word) and word not in DATABASE_WORDS:
        return word
    return '"' + word.replace('"', '""') + '"'


def parse(data: bytes) -> Block:
    """Find encamp's block in a file. Raises ValueError when the block was edited."""
    lines = data.split(b"\n")
    if BEGIN not in lines:
        return Block({}, {}, tuple(lines))
    start = at = lines.index(BEGIN)
    rules, numbers = {}, {}
    at += 1
    while at + 1 < len(lines) and lines[at].startswith(_NAME):
        name = lines[at][len(_NAME) :].decode("utf-8", "replace")
        rules[name], numbers[name] = lines[at + 1], at + 2
        at += 2
    if at >= len(lines) or lines[at] != END:
        raise ValueError(
            f"line {at + 1}: this line is not encamp's, but is inside its block, which starts in line {start + 1}"
        )
    return Block(rules, numbers, tuple(lines[:start] + lines[at + 1 :]))


def with_rule(data: bytes, name: str, line: str) -> bytes:
    """The file with ``line`` in encamp's block under ``name``, and the block before the first foreign rule.

    Foreign lines stay unchanged. Raises ValueError like :func:`parse`.
    """
    block = parse(data)
    return _with_block(block.foreign, {**block.rules, name: line.encode()})


def without_rules(data: bytes, names: Sequence[str]) -> bytes:
    """The file without encamp's rules ``names``. Raises ValueError like :func:`parse`."""
    block = parse(data)
    return _with_block(block.foreign, {name: line for name, line in block.rules.items() if name not in names})


def _with_block(foreign: Sequence[bytes], rules: Mapping[str, bytes]) -> bytes:
    """The file with a block of ``rules`` before the first foreign rule; no block without rules."""
    ours = [line for name, rule in rules.items() for line in (_NAME + name.encode(), rule)]
    block = [BEGIN, *ours, END] if ours else []
    at = _first_rule(foreign)
    return b"\n".join([*foreign[:at], *block, *foreign[at:]])


def _first_rule(lines: Sequence[bytes]) -> int:
    """Where the first rule begins, with the comment directly above it."""
    continued = False
    at = next_line = 0
    for at, line in enumerate(lines):
        words = line.strip()
        if words and not words.startswith(b"#") and not continued:
            break
        continued = line.endswith(b"\\")
        if not words.startswith(b"#") or continued:
            next_line = at + 1
    return min(next_line, at)


def rule_from_row(row: Row) -> Optional[Rule]:
    """A row of ``pg_hba_file_rules`` as a rule; None for a line that Postgres could not parse."""
    if row["type"] is None:
        return None
    return Rule(
        row["type"],
        frozenset(row["database"] or ()),
        frozenset(row["user_name"] or ()),
        network(row["address"] or "", row["netmask"] or ""),
        row["auth_method"],
        frozenset(row["options"] or ()),
    )


def network(address: str, netmask: str = "") -> Address:
    """An address as a network where it is one, else its text (all, samehost, samenet, a host name, nothing)."""
    if netmask:
        address = f"{address}/{bin(int(ipaddress.ip_address(netmask))).count('1')}"
    try:
        return ipaddress.ip_network(address, strict=False)
    except ValueError:
        return address


def in_effect(wanted: Rule, rules: Sequence[Rule]) -> bool:
    """Whether ``rules``, in their order, already have the effect of ``wanted``.

    The first rule that matches any of its connections decides; it must match all, with the same method and options.
    """
    for rule in rules:
        if overlaps(rule, wanted):
            return same_effect(rule, wanted)
    return False


def in_the_way(wanted: Rule, earlier: Sequence[Rule]) -> bool:
    """Whether a rule in ``earlier`` matches connections of ``wanted``, with another effect."""
    return any(overlaps(rule, wanted) and not same_effect(rule, wanted) for rule in earlier)


def same_effect(rule: Rule, wanted: Rule) -> bool:
    """Whether ``rule`` matches all that ``wanted`` matches, with the same method and options."""
    covers = (
        _TRANSPORTS[rule.connection] >= _TRANSPORTS[wanted.connection]
        and all(_covers_name(name, _databases(rule, wanted)) for name in wanted.databases)
        and all(_covers_name(name, rule.users) for name in wanted.users)
        and _covers_address(rule.address, wanted.address)
    )
    return covers and rule.method == wanted.method and rule.options == wanted.options


def overlaps(rule: Rule, wanted: Rule) -> bool:
    """Whether a connection may match both. True where only a running server could decide."""
    return (
        bool(_TRANSPORTS[rule.connection] & _TRANSPORTS[wanted.connection])
        and any(_may_meet(name, other) for name in wanted.databases for other in _databases(rule, wanted))
        and any(_may_meet(name, other) for name in wanted.users for other in rule.users)
        and _addresses_meet(rule.address, wanted.address)
    )


def _databases(rule: Rule, wanted: Rule) -> frozenset[str]:
    """The databases of ``rule`` that count for ``wanted``: replication is separate and not included in all."""
    if "replication" in wanted.databases:
        return rule.databases & {"replication"}
    return rule.databases - {"replication"}


def _covers_name(name: str, names: frozenset[str]) -> bool:
    return "all" in names or name in names


def _may_meet(name: str, other: str) -> bool:
    """Whether two names of databases or users may mean the same one. Keywords, groups and patterns may mean any."""
    return name == other or any(word in DATABASE_WORDS or word.startswith(("+", "/")) for word in (name, other))


def _covers_address(have: Address, wanted: Address) -> bool:
    if have == wanted or have == "all":
        return True
    if isinstance(have, ipaddress.IPv4Network) and isinstance(wanted, ipaddress.IPv4Network):
        return wanted.subnet_of(have)
    if isinstance(have, ipaddress.IPv6Network) and isinstance(wanted, ipaddress.IPv6Network):
        return wanted.subnet_of(have)
    return False


def _addresses_meet(have: Address, wanted: Address) -> bool:
    if isinstance(have, str) or isinstance(wanted, str):
        return True
    return have.version == wanted.version and have.overlaps(wanted)
