"""What a firewall port may say, and what happens without a firewall."""

import pytest

from encamp.resources.firewall.opening import EVERYWHERE, parse_sources
from encamp.resources.firewall.port import FirewallPort
from tests.unit.resources.systemd.double import Answers


@pytest.mark.parametrize(
    "fields",
    [
        {"port": 0},
        {"port": 65536},
        {"port": 22},
        {"protocol": "icmp"},
        {"sources": ("10.0.0.0/33",)},
        {"sources": ("laptop1",)},
        {"name": "a b"},
        {"name": 'x" accept'},
        {"name": "../x"},
        {"ensure": "open"},
    ],
)
def test_bad_declarations_are_refused_on_the_controller(fields):
    with pytest.raises(ValueError):
        FirewallPort(**{"name": "x", "port": 4200, **fields})


def test_sources_are_merged():
    sources = parse_sources(("10.1.0.0/16", "fd00::1", "10.0.0.0/8", "10.2.3.4"))
    assert [str(network) for network in sources] == ["10.0.0.0/8", "fd00::1/128"]
    assert parse_sources(()) == parse_sources(("::/0", "0.0.0.0/0")) == EVERYWHERE


def test_a_host_without_a_firewall_gets_a_note():
    host = Answers(outputs={"nft": '{"nftables": []}'})
    assert FirewallPort("prefect-default", 4200).check(host) == []
    assert host.notes == ["no active firewall on this host: nothing opened for 4200/tcp from anywhere"]


def test_iptables_legacy_is_named_in_the_note():
    host = Answers({"/proc/net/ip_tables_names": "nat\nfilter\n"})
    assert FirewallPort("prefect-default", 4200).check(host) == []
    assert "iptables-legacy" in host.notes[0]
