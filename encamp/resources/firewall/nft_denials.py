"""What an owner's nftables rules deny to clients of an opening: they stand before encamp's rule, on purpose."""

from __future__ import annotations

import ipaddress
from typing import Any, Iterator

from encamp.resources.firewall import nft_boot, nft_loader
from encamp.resources.firewall.opening import Opening


def denials(ruleset: nft_loader.Ruleset, opening: Opening) -> Iterator[str]:
    """A text for each rule that drops or rejects some clients before encamp's rule, or where that will stand."""
    described = nft_boot.described(opening)
    for chain in ruleset.chains:
        for rule in chain.rules:
            if rule.get("comment") == nft_loader.MARK + opening.name:
                break
            denied = [source for source in _denied(rule, described) if _may_be_client(source, opening)]
            if denied:
                yield f"nftables' chain {' '.join(chain.path)} denies {', '.join(denied)}"


def _denied(rule: nft_loader.Rule, described: nft_loader.Opening) -> list[str]:
    """The sources that a rule denies the opening's port; none if it accepts, or is about something else."""
    sources: list[str] = []
    for statement in rule.get("expr", []):
        kind, body = next(iter(statement.items()))
        if kind in ("drop", "reject"):
            return sources
        if kind != "match":
            continue
        if body["left"].get("payload", {}).get("field") == "saddr":
            sources = _texts(body["right"]) if body["op"] == "==" else []
        elif not nft_loader.covers(body["left"], body["op"], body["right"], described):
            return []
    return []


def _texts(right: Any) -> list[str]:
    """The addresses on the right side of a match; a named set by its name."""
    if isinstance(right, dict) and "set" in right:
        return [text for item in right["set"] for text in _texts(item)]
    if isinstance(right, dict) and "prefix" in right:
        return [f"{right['prefix']['addr']}/{right['prefix']['len']}"]
    if isinstance(right, dict) and "range" in right:
        return ["-".join(map(str, right["range"]))]
    return [str(right)]


def _may_be_client(source: str, opening: Opening) -> bool:
    """Whether some of the opening's clients may be in a source. Sets and ranges are not taken apart."""
    try:
        network = ipaddress.ip_network(source, strict=False)
    except ValueError:
        return True
    return any(network.version == other.version and network.overlaps(other) for other in opening.networks)
