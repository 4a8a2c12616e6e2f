"""When plain nftables counts as the host's firewall, and what keeps an opening from lasting."""

from __future__ import annotations

from pathlib import Path

from encamp.resources.firewall import nft_loader
from encamp.resources.firewall.port import FirewallPort

PORT = FirewallPort("prefect-default", 4200)


def test_the_loader_stands_alone():
    """It runs on hosts where nothing else of encamp is."""
    text = Path(nft_loader.__file__).read_text()
    assert "import encamp" not in text and "from encamp" not in text
