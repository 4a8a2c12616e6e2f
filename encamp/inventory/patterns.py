"""Host patterns, as in Ansible: ``a,b``, ``web:&prod:!db1``, ``web*``, ``~web\\d+``, ``web[0:2]``, ``all``."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from encamp.errors import InventoryError, NoHosts

_SUBSCRIPT = r"(?P<name>.+)\[(?:(?P<index>-?\d+)|(?P<first>\d*):(?P<last>\d*))\]"
# A colon between terms: outside brackets, not in (?:...), and not before a port.
_COLON = r"(?<!\?):(?!\d+(?:[:,]|$))(?![^\[]*\])"
_GLOB = "?*["

Named = Callable[[str], "str | None"]


def resolve(pattern: str, hosts: Sequence[str], groups: Mapping[str, Sequence[str]], named: Named) -> list[str]:
    """Host names that ``pattern`` selects: all plain terms together, less what ``&`` and ``!`` take away.

    A plain term that names a host and a group means the host, as in Ansible; behind ``&`` and ``!`` the group.
    ``named`` may accept a plain term that is neither host nor group, and gives its host name. Raises InventoryError
    with the nearest names for every term that matches nothing; NoHosts where these are no names, but patterns.
    """
    terms, known = split(pattern), set(hosts)
    plain = [term for term in terms if term[0] not in "&!"] or ["all"]
    unknown: list[str] = []
    found: dict[str, None] = {}
    for term in plain:
        matched = [term] if term in known else _match(term, hosts, groups)
        if matched is None:
            name = named(term)
            matched = [name] if name else []
            unknown += [] if name else [term]
        found.update(dict.fromkeys(matched))
    for sign, keep in (("&", True), ("!", False)):
        for term in (term[1:] for term in terms if term[0] == sign):
            matched = _match(term, hosts, groups)
            if matched is None:
                unknown.append(term)
                continue
            found = {name: None for name in found if (name in matched) is keep}
    if unknown:
        raise _unknown(unknown, hosts, groups)
    return list(found)


def split(pattern: str) -> list[str]:
    """The terms of a pattern. Raises InventoryError for an empty one."""
    terms: list[str] = []
    for piece in re.split(r",(?![^\[]*\])(?![^{]*\})", pattern):
        piece = piece.strip()
        terms += re.split(_COLON, piece) if ":" in piece and not _is_ipv6(piece.lstrip("&!")) else [piece]
    terms = [term.strip() for term in terms if term.strip()]
    empty = [term for term in terms if term in ("&", "!", "~", "&~", "!~")]
    if empty or not terms:
        what = f"{empty[0]!r} matches no host" if empty else "the host pattern is empty"
        raise InventoryError(what, "write, for example, -H vm1,vm2 or -H 'web:!web3'")
    return terms


def _match(term: str, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Hosts that one term matches; None when it names neither a host nor a group."""
    if term[0] == "~":
        return _matching(_regex(term), hosts, groups)
    part = re.fullmatch(_SUBSCRIPT, term) if "[" in term else None
    name = part["name"] if part else term
    if any(character in name for character in _GLOB):
        matched = _matching(re.compile(fnmatch.translate(name)), hosts, groups)
    elif name in groups:
        matched = list(groups[name])
    else:
        matched = [name] if name in hosts else None
    return matched if matched is None or part is None else _sliced(term, part, matched)


def _is_ipv6(piece: str) -> bool:
    return ("::" in piece or piece.count(":") == 7) and re.fullmatch("[0-9A-Fa-f:.]+", piece) is not None


def _regex(term: str) -> re.Pattern[str]:
    try:
        return re.compile(term[1:])
    except re.error as error:
        raise InventoryError(
            f"{term[1:]!r} is not a valid regular expression: {error}", "correct the part after ~"
        ) from None


def _matching(test: re.Pattern[str], hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Members of the groups whose names match, then the hosts whose names match; None when no name does."""
    names = [name for name in groups if test.match(name)]
    found = dict.fromkeys(host for name in names for host in groups[name])
    found.update(dict.fromkeys(host for host in hosts if test.match(host)))
    return list(found) if found or names else None


def _sliced(term: str, part: re.Match[str], matched: list[str]) -> list[str]:
    """``[2]``, ``[-1]``, and ``[0:2]`` with both ends included."""
    if part["index"] is None:
        last = int(part["last"]) + 1 if part["last"] else None
        return matched[int(part["first"] or 0) : last]
    index = int(part["index"])
    if not -len(matched) <= index < len(matched):
        count = f"{len(matched)} host" + ("" if len(matched) == 1 else "s")
        raise InventoryError(f"{term} is past the end: {part['name']} has {count}", "count from 0")
    return [matched[index]]


def _unknown(terms: Iterable[str], hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> InventoryError:
    import difflib

    known = [*hosts, *(name for name in groups if name != "ungrouped")]
    listed = list(dict.fromkeys(terms))
    if listed[0].startswith("@"):
        return InventoryError(f"files of hosts are not read: {listed[0]}", "name the hosts, or use --retry")
    if all(term[0] == "~" or any(character in term for character in _GLOB) for term in listed):
        return NoHosts(f"no host or group matches {', '.join(listed)}", "see `fab inventory` for the names")
    near = dict.fromkeys(name for term in listed for name in difflib.get_close_matches(term, known, 2))
    fix = f"did you mean {' or '.join(near)}?" if near else "add it to the inventory, or set `adhoc: true` for all"
    return InventoryError(f"the inventory has no host or group {', '.join(listed)}", fix)
