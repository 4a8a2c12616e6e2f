"""Sources that an owner's nftables rules deny before encamp's rule."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.firewall.nft_denials import denials
from encamp.resources.firewall.nft_loader import Ruleset
from encamp.resources.firewall.opening import Opening, parse_sources
from tests.unit.resources.firewall.test_nft_loader import DPORT, DROP, OURS, match, payload, ruleset

SOURCE = payload("ip", "saddr")
NETWORK = {"prefix": {"addr": "10.1.0.0", "len": 16}}


def named(*rules: Any, sources: tuple[str, ...] = ()) -> list[str]:
    return list(denials(Ruleset(ruleset(*rules)), Opening("p", 4200, "tcp", parse_sources(sources))))


@pytest.mark.parametrize(
    ("rule", "who"),
    [
        ([match(SOURCE, "192.0.2.7"), DROP], "192.0.2.7"),
        ([match(SOURCE, NETWORK), match(DPORT, 4200), {"reject": None}], "10.1.0.0/16"),
        ([match(SOURCE, {"set": ["192.0.2.7", NETWORK]}), {"counter": {}}, DROP], "192.0.2.7, 10.1.0.0/16"),
        ([match(SOURCE, "@blocked"), DROP], "@blocked"),
        ([match(SOURCE, {"range": ["192.0.2.1", "192.0.2.9"]}), DROP], "192.0.2.1-192.0.2.9"),
    ],
)
def test_an_earlier_denial_is_named(rule: list[dict[str, Any]], who: str) -> None:
    assert named(rule, ("encamp:p", OURS)) == [f"nftables' chain inet filter input denies {who}"]
    assert named(rule) == [f"nftables' chain inet filter input denies {who}"], "before encamp's rule is there"
    assert named(("encamp:p", OURS), rule) == []


@pytest.mark.parametrize(
    "rule",
    [
        [match(SOURCE, "192.0.2.7"), {"accept": None}],
        [match(SOURCE, "192.0.2.7"), match(DPORT, 22), DROP],
        [match(SOURCE, NETWORK, "!="), DROP],
        [match(DPORT, 4200), DROP],
    ],
)
def test_what_denies_no_client_by_its_address_is_not_named(rule: list[dict[str, Any]]) -> None:
    assert named(rule, ("encamp:p", OURS)) == []


def test_only_denials_of_allowed_sources_are_named() -> None:
    rule = [match(SOURCE, NETWORK), DROP]
    assert named(rule, sources=("10.0.0.0/8",))
    assert named(rule, sources=("192.0.2.0/24",)) == []
