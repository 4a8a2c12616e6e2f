"""What a firewall port may say, and what happens without a firewall."""

from encamp.resources.firewall.opening import EVERYWHERE, parse_sources


def test_sources_are_merged():
    sources = parse_sources(("10.1.0.0/16", "fd00::1", "10.0.0.0/8", "10.2.3.4"))
    assert [str(network) for network in sources] == ["10.0.0.0/8", "fd00::1/128"]
    assert parse_sources(()) == parse_sources(("::/0", "0.0.0.0/0")) == EVERYWHERE
