#!/usr/bin/env python3
"""Adds encamp's openings to the nftables chains that filter a host's input. A standalone program.

The deploy installs this file on hosts with a plain nftables ruleset; systemd runs it whenever the owner's rules are
loaded (boot, start, restart, reload), and the deploy runs it the same way. An accept rule in a separate table does not
help: any other chain on the hook can still drop the packet. So the rule goes into the owner's chain: after the owner's
specific blocks, which win, and before the first rule that drops packets from every source.

Usage: firewall_nft_loader.py DIRECTORY. Python standard library only; imports nothing of encamp.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Iterator

LIST = ("nft", "-j", "-t", "list", "ruleset")
MARK = "encamp:"
FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
# Statements that neither decide about a packet nor end the rule.
NEUTRAL = {"counter", "log", "mangle", "notrack", "meter", "flow"}
Rule = dict[str, Any]
Opening = dict[str, Any]


class Chain:
    """A chain on the input hook. ``path``: family, table and name. ``rules``: in their order."""

    def __init__(self, declared: dict[str, Any], rules: list[Rule]) -> None:
        self.family: str = declared["family"]
        self.path = (declared["family"], declared["table"], declared["name"])
        self.drops_by_default = declared.get("policy") == "drop"
        self.rules = rules

    def ours(self, name: str) -> list[tuple[int, Rule]]:
        """Rules with the comment for ``name``, and their positions."""
        return [(place, rule) for place, rule in enumerate(self.rules) if rule.get("comment") == MARK + name]


class Ruleset:
    """The output of ``nft -j list ruleset``."""

    def __init__(self, listing: dict[str, Any]) -> None:
        self._rules: dict[tuple[str, str, str], list[Rule]] = {}
        declared = []
        for entry in listing["nftables"]:
            if "chain" in entry:
                declared.append(entry["chain"])
            elif "rule" in entry:
                rule = entry["rule"]
                self._rules.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(rule)
        self.chains = [
            Chain(chain, self._rules.get((chain["family"], chain["table"], chain["name"]), []))
            for chain in declared
            if chain.get("hook") == "input" and chain.get("type") == "filter" and chain["family"] in FAMILIES
        ]

    def blocker(self, chain: Chain, opening: Opening) -> int:
        """Position of the first rule in ``chain`` that drops the opening's packets from every source, or -1."""
        for place, rule in enumerate(chain.rules):
            if self._blocks(rule, opening, 0):
                return place
        return -1

    def filters(self, chain: Chain, opening: Opening) -> bool:
        """Whether ``chain`` would drop the opening's packets without encamp's rule."""
        return chain.drops_by_default or self.blocker(chain, opening) >= 0

    def _blocks(self, rule: Rule, opening: Opening, depth: int) -> bool:
        statements = rule.get("expr", [])
        for place, statement in enumerate(statements):
            kind, body = next(iter(statement.items()))
            if kind == "match":
                if not covers(body["left"], body["op"], body["right"], opening):
                    return False
            elif kind == "vmap":
                return self._map_blocks(rule, body, opening, depth)
            elif kind == "xt" and place == len(statements) - 1:
                # An iptables rule with a target that nft cannot read, such as REJECT. Inserting before it is always
                # safe.
                return True
            elif kind not in NEUTRAL:
                return self._verdict_blocks(rule, statement, opening, depth)
        return False

    def _map_blocks(self, rule: Rule, body: dict[str, Any], opening: Opening, depth: int) -> bool:
        data = body["data"]
        pairs = data["set"] if isinstance(data, dict) and "set" in data else []
        return any(
            covers(body["key"], "==", key, opening) and self._verdict_blocks(rule, verdict, opening, depth)
            for key, verdict in pairs
        )

    def _verdict_blocks(self, rule: Rule, verdict: dict[str, Any], opening: Opening, depth: int) -> bool:
        kind, body = next(iter(verdict.items()))
        if kind in ("drop", "reject"):
            return True
        if kind in ("jump", "goto") and depth < 16:
            inner = self._rules.get((rule["family"], rule["table"], body["target"]), [])
            return any(self._blocks(step, opening, depth + 1) for step in inner)
        return False


def covers(left: Any, operator: str, right: Any, opening: Opening) -> bool:
    """Whether a match holds for the opening's packets from any source: new connections, on a real interface.

    Matches on specific packets (addresses, sets, flags, limits) do not: the owner intends a drop after those.
    """
    if not isinstance(left, dict):
        return False
    field: str = (
        left.get("meta", {}).get("key") or left.get("ct", {}).get("key") or left.get("payload", {}).get("field", "")
    )
    protocol: str = left.get("payload", {}).get("protocol", "")
    if field in ("l4proto", "protocol", "nexthdr") and protocol in ("", "ip", "ip6"):
        included = contains(right, opening["protocol"])
    elif field == "dport" and protocol in (opening["protocol"], "th"):
        included = contains(right, opening["port"])
    elif field == "state":
        included = contains(right, "new")
    elif field in ("iif", "iifname", "iiftype"):
        return operator == "!=" or not (contains(right, "lo") or contains(right, "loopback"))
    else:
        return field == "nfproto"
    return included != (operator == "!=")


def contains(right: Any, value: Any) -> bool:
    """Whether the right side of a match (a value, a list, a range or a set) includes ``value``."""
    if isinstance(right, list):
        return any(contains(item, value) for item in right)
    if isinstance(right, dict) and "set" in right:
        return contains(right["set"], value)
    if isinstance(right, dict) and "range" in right:
        low, high = right["range"]
        return isinstance(value, int) and isinstance(low, int) and low <= value <= high
    return bool(right == value)


def wanted_rules(opening: Opening, family: str) -> list[str]:
    """The rules for an opening in a table of ``family``, in nft's syntax, without the comment."""
    versions = FAMILIES[family]
    sources = [source for source in opening["sources"] if (6 if ":" in source else 4) in versions]
    port = f"{opening['protocol']} dport {opening['port']} accept"
    if {"0.0.0.0/0", "::/0"} <= set(opening["sources"]):
        return [port]
    return [f"{_source_match(source, family)}{port}" for source in sources]


def _source_match(source: str, family: str) -> str:
    six = ":" in source
    if source in ("0.0.0.0/0", "::/0"):
        return f"meta nfproto ipv{6 if six else 4} " if family == "inet" else ""
    return f"{'ip6' if six else 'ip'} saddr {source} "


def describe(rule: Rule) -> str:
    """A listed rule in the syntax of :func:`wanted_rules`; other rules give a text that equals none of those."""
    words = []
    for statement in rule.get("expr", []):
        if "accept" in statement:
            words.append("accept")
        elif "match" in statement and statement["match"]["op"] == "==":
            words.append(_describe_match(statement["match"]["left"], statement["match"]["right"]))
        else:
            words.append("?")
    return " ".join(words)


def _describe_match(left: dict[str, Any], right: Any) -> str:
    if isinstance(right, dict) and "prefix" in right:
        right = f"{right['prefix']['addr']}/{right['prefix']['len']}"
    if "payload" in left:
        return f"{left['payload'].get('protocol')} {left['payload'].get('field')} {right}"
    return f"meta {left.get('meta', {}).get('key')} {right}"


def commands(listing: dict[str, Any], openings: list[Opening]) -> list[str]:
    """The nft commands that bring encamp's rules in line with ``openings``; none when they are.

    encamp's rules with a name that is not in ``openings`` are removed; other rules are never changed.
    """
    ruleset = Ruleset(listing)
    names = {MARK + opening["name"] for opening in openings}
    done = []
    for chain in ruleset.chains:
        orphans = [r for r in chain.rules if r.get("comment", "").startswith(MARK) and r["comment"] not in names]
        done += [_delete(chain, rule) for rule in orphans]
        for opening in openings:
            done += _converge(ruleset, chain, opening)
    return done


def differences(listing: dict[str, Any], opening: Opening) -> list[str]:
    """Like :func:`commands`, but for one opening only."""
    ruleset = Ruleset(listing)
    return [command for chain in ruleset.chains for command in _converge(ruleset, chain, opening)]


def _converge(ruleset: Ruleset, chain: Chain, opening: Opening) -> Iterator[str]:
    ours = chain.ours(opening["name"])
    if not ours and not ruleset.filters(chain, opening):
        return
    blocker = ruleset.blocker(chain, opening)
    wanted = wanted_rules(opening, chain.family)
    in_place = all(blocker < 0 or place < blocker for place, _ in ours)
    if in_place and sorted(describe(rule) for _, rule in ours) == sorted(wanted):
        return
    for _, rule in ours:
        yield _delete(chain, rule)
    family, table, name = chain.path
    where = f"insert rule {family} {table} {name} handle {chain.rules[blocker]['handle']}" if blocker >= 0 else ""
    for rule_text in wanted:
        head = where or f"add rule {family} {table} {name}"
        yield f'{head} {rule_text} comment "{MARK}{opening["name"]}"'


def _delete(chain: Chain, rule: Rule) -> str:
    return f"delete rule {' '.join(chain.path)} handle {rule['handle']}"


def read_openings(directory: str) -> list[Opening]:
    """The openings in ``directory``, one JSON file each."""
    openings = []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        if name.endswith(".json"):
            with open(os.path.join(directory, name), encoding="utf-8") as handle:
                openings.append(json.load(handle))
    return openings


def main(arguments: list[str]) -> int:
    """Bring the loaded rules in line with the openings in a directory. Returns nft's exit status."""
    (directory,) = arguments
    listed = subprocess.run(LIST, stdout=subprocess.PIPE)
    if listed.returncode:
        return listed.returncode
    batch = commands(json.loads(listed.stdout), read_openings(directory))
    for command in batch:
        print(command)
    # One transaction.
    return subprocess.run(("nft", "-f", "-"), input="\n".join([*batch, ""]).encode()).returncode if batch else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
