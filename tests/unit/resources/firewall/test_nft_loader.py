"""Where our accept goes among the rules of an owner, and when it is in place. Rules as nft 1.0 lists them."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.firewall.nft_loader import commands, differences

OPENING = {"name": "p", "protocol": "tcp", "port": 4200, "sources": ["0.0.0.0/0", "::/0"]}
ADD = 'add rule inet filter input tcp dport 4200 accept comment "encamp:p"'
DROP: dict[str, Any] = {"drop": None}


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def payload(protocol: str, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": field}}


DPORT, STATE = payload("tcp", "dport"), {"ct": {"key": "state"}}
SSH = [match(DPORT, 22), {"accept": None}]
OURS = [match(DPORT, 4200), {"accept": None}]


def ruleset(*rules: Any, policy: str = "drop", family: str = "inet", extra: tuple[Any, ...] = ()) -> dict[str, Any]:
    """A chain on the input hook. A rule is its statements, or (comment, statements); handles count from 1."""
    base = {"family": family, "table": "filter"}
    listed: list[Any] = [{"metainfo": {}}]
    chain = {**base, "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    listed.append({"chain": chain})
    for handle, rule in enumerate(rules, 1):
        comment, statements = rule if isinstance(rule, tuple) else ("", rule)
        entry = {**base, "chain": "input", "handle": handle, "expr": statements}
        listed.append({"rule": {**entry, "comment": comment} if comment else entry})
    for name, statements in extra:
        listed.append({"chain": {**base, "name": name}})
        listed.append({"rule": {**base, "chain": name, "handle": 90, "expr": statements}})
    return {"nftables": listed}


def test_at_the_end_of_a_chain_that_drops_by_default():
    assert differences(ruleset(SSH), OPENING) == [ADD]


def test_nothing_where_nothing_is_dropped():
    assert differences(ruleset(SSH, policy="accept"), OPENING) == []


def test_nothing_when_in_place():
    assert differences(ruleset(SSH, ("encamp:p", OURS)), OPENING) == []


@pytest.mark.parametrize(
    "blocker",
    [
        [{"counter": {"packets": 0, "bytes": 0}}, {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}],
        [{"log": {"prefix": "no"}}, DROP],
        [match({"meta": {"key": "l4proto"}}, "tcp"), {"reject": {"type": "tcp reset"}}],
        [match({"meta": {"key": "iifname"}}, "lo", "!="), DROP],
        [match({"meta": {"key": "iifname"}}, "eth0"), DROP],
        [match(DPORT, 22, "!="), DROP],
        [match(DPORT, {"set": [80, {"range": [4000, 5000]}]}), DROP],
        [match(STATE, ["invalid", "new"], "in"), DROP],
        [match(STATE, "established", "!="), DROP],
        [{"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": {"set": [["udp", DROP], ["tcp", DROP]]}}}],
        [{"jump": {"target": "deep"}}],
        [{"counter": {}}, {"xt": {"type": "target", "name": "REJECT"}}],
    ],
)
def test_before_a_rule_that_drops_everybody(blocker):
    wanted = ADD.replace("add rule inet filter input", "insert rule inet filter input handle 2")
    extra = (("deep", [DROP]),)
    assert differences(ruleset(SSH, blocker, SSH, policy="accept", extra=extra), OPENING) == [wanted]
    behind = ruleset(SSH, blocker, ("encamp:p", OURS), policy="accept", extra=extra)
    assert differences(behind, OPENING) == ["delete rule inet filter input handle 3", wanted]


@pytest.mark.parametrize(
    "block",
    [
        [match(payload("ip", "saddr"), "@blocked"), DROP],
        [match(payload("ip", "saddr"), {"prefix": {"addr": "10.0.0.0", "len": 8}}, "!="), DROP],
        [match(STATE, "invalid"), DROP],
        [match(DPORT, 4201), DROP],
        [match(payload("udp", "dport"), 4200), DROP],
        [match(DPORT, "@ports"), DROP],
        [match({"meta": {"key": "iifname"}}, "lo"), DROP],
        [{"limit": {"rate": 5, "per": "second"}}, DROP],
        [{"vmap": {"key": STATE, "data": {"set": [["invalid", DROP], ["established", {"accept": None}]]}}}],
        [{"vmap": {"key": DPORT, "data": "@verdicts"}}],
        [{"jump": {"target": "harmless"}}],
        [{"xt": {"type": "match", "name": "recent"}}, DROP],
        [{"return": None}],
    ],
)
def test_behind_the_owners_specific_blocks(block):
    rules = ruleset(block, SSH, extra=(("harmless", [match(DPORT, 25), DROP]),))
    assert differences(rules, OPENING) == [ADD]


def test_a_jump_in_a_circle_ends():
    assert differences(ruleset([{"jump": {"target": "a"}}], extra=(("a", [{"jump": {"target": "a"}}]),)), OPENING) == [
        ADD
    ]


@pytest.mark.parametrize(
    ("family", "rules"),
    [
        ("inet", ["ip saddr 10.0.0.0/8 tcp", "ip saddr 192.0.2.7 tcp", "ip6 saddr fd00::/8 tcp"]),
        ("ip", ["ip saddr 10.0.0.0/8 tcp", "ip saddr 192.0.2.7 tcp"]),
        ("ip6", ["ip6 saddr fd00::/8 tcp"]),
    ],
)
def test_sources_of_the_tables_ip_versions(family, rules):
    opening = {**OPENING, "sources": ["10.0.0.0/8", "192.0.2.7", "fd00::/8"]}
    assert differences(ruleset(SSH, family=family), opening) == [
        f'add rule {family} filter input {rule} dport 4200 accept comment "encamp:p"' for rule in rules
    ]


def test_one_ip_version_only():
    opening = {**OPENING, "sources": ["0.0.0.0/0"]}
    listed = [match({"meta": {"key": "nfproto"}}, "ipv4"), *OURS]
    assert differences(ruleset(SSH, ("encamp:p", listed)), opening) == []
    assert len(differences(ruleset(SSH, ("encamp:p", OURS)), opening)) == 2


def test_listed_sources_are_recognised():
    opening = {**OPENING, "sources": ["10.0.0.0/8", "192.0.2.7"]}
    net = [match(payload("ip", "saddr"), {"prefix": {"addr": "10.0.0.0", "len": 8}}), *OURS]
    single = [match(payload("ip", "saddr"), "192.0.2.7"), *OURS]
    assert differences(ruleset(("encamp:p", net), ("encamp:p", single)), opening) == []
    assert differences(ruleset(("encamp:p", net)), opening)[0] == "delete rule inet filter input handle 1"


def test_rules_of_openings_that_are_gone_go_and_no_others():
    rules = ruleset(("encamp:old", OURS), ("the web shop", OURS), SSH, ("encamp:p", OURS))
    assert commands(rules, [OPENING]) == ["delete rule inet filter input handle 1"]
    assert commands(rules, []) == ["delete rule inet filter input handle 1", "delete rule inet filter input handle 4"]


def test_other_hooks_and_families_are_left_alone():
    listing = ruleset(SSH)
    chain = listing["nftables"][1]["chain"]
    for change in ({"hook": "forward"}, {"type": "nat"}, {"family": "bridge"}):
        listing["nftables"][1] = {"chain": {**chain, **change}}
        assert differences(listing, OPENING) == []
