"""When plain nftables counts as the host's firewall, and what keeps an opening from lasting."""

from __future__ import annotations

import json
from pathlib import Path

from encamp.resources.firewall import nft_loader
from encamp.resources.firewall.port import FirewallPort
from tests.unit.resources.systemd.double import Answers, show

CHAIN = {"family": "inet", "table": "filter", "name": "input", "type": "filter", "hook": "input", "policy": "drop"}
FILTERING = json.dumps({"nftables": [{"chain": CHAIN}]})
PORT = FirewallPort("prefect-default", 4200)


def what(host: Answers) -> list[str]:
    return [change.what for change in PORT.check(host)]


def test_a_chain_that_drops_is_a_firewall():
    assert what(Answers(outputs={"nft": FILTERING, **show()})) == ["nftables, at boot", "nftables, loaded rules"]


def test_a_chain_that_drops_nothing_is_none():
    host = Answers(outputs={"nft": FILTERING.replace('"drop"', '"accept"'), **show()})
    assert what(host) == [] and host.notes


def test_rules_for_the_next_boot_count():
    conf = "table inet filter {\n chain input {\n type filter hook input priority 0; policy drop;\n }\n}\n"
    empty = {"nft": '{"nftables": []}'}
    enabled = {"/etc/systemd/system/sysinit.target.wants/nftables.service": ""}
    assert what(Answers({"/etc/nftables.conf": conf, **enabled}, {**empty, **show()})) == ["nftables, at boot"]
    assert what(Answers({"/etc/nftables.conf": conf}, {**empty, **show(UnitFileState="disabled")})) == []
    commented = "#" + conf.replace("\n", "\n#")
    assert what(Answers({"/etc/nftables.conf": commented, **enabled}, {**empty, **show()})) == []


def test_the_loader_stands_alone():
    """It runs on hosts where nothing else of encamp is."""
    text = Path(nft_loader.__file__).read_text()
    assert "import encamp" not in text and "from encamp" not in text
