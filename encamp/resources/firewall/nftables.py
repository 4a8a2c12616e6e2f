"""Plain nftables: a rule in the owner's chains, added again whenever the owner's rules are loaded."""

from __future__ import annotations

import json
import re
from typing import Any

from encamp.resources.base import Change, Failure
from encamp.resources.firewall import nft_boot, nft_denials, nft_loader
from encamp.resources.firewall.opening import Opening, nftables_listing
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_state

CONFIGURATIONS = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")


class Nftables:
    """The back end for a ruleset without a manager. The owner's files and rules stay unchanged.

    The accept rule goes into the owner's chains (see ``nft_loader``). Loading rules by hand, with ``nft -f`` and a
    flush, removes it until the firewall's service starts or reloads, or until the next deploy.
    """

    manages_nftables = False

    def active(self, host: Reader, opening: Opening) -> bool:
        if not host.which("nft"):
            return False
        ruleset = nft_loader.Ruleset(_listing(host))
        wanted = nft_boot.described(opening)
        return any(ruleset.filters(chain, wanted) for chain in ruleset.chains) or _filters_at_boot(host)

    def check(self, host: Reader, opening: Opening) -> list[Change]:
        if not host.which("nft"):
            return []
        if not opening.networks:
            ours = any(chain.ours(opening.name) for chain in nft_loader.Ruleset(_listing(host)).chains)
            return [Change("nftables", "open", "closed")] if ours or nft_boot.installed(host, opening) else []
        changes = []
        lasting = nft_boot.check(host, opening)
        if lasting:
            diff = "\n".join(change.diff for change in lasting if change.diff)
            changes.append(Change("nftables, at boot", "missing", str(opening), diff))
        if nft_loader.differences(_listing(host), nft_boot.described(opening)):
            changes.append(Change("nftables, loaded rules", "missing", str(opening)))
        return changes

    def apply(self, host: System, opening: Opening) -> None:
        if opening.networks:
            _try_out(host, opening)
            nft_boot.install(host, opening)
        else:
            nft_boot.remove(host, opening)

    def refuse(self, host: Reader, opening: Opening) -> None:
        """Its rules stand beside those of the owner, and replace none."""

    def denials(self, host: Reader, opening: Opening) -> list[str]:
        return list(nft_denials.denials(nft_loader.Ruleset(_listing(host)), opening))


def _listing(host: Reader) -> dict[str, Any]:
    """The rules in the kernel. Raises Failure when nft cannot list them."""

    def read() -> dict[str, Any]:
        result = nftables_listing(host)
        if "not supported" in result.err and not result.out:
            # A kernel without nf_tables.
            return {"nftables": []}
        try:
            listing: dict[str, Any] = json.loads(result.out)
        except ValueError:
            fix = "run `nft -j list ruleset`"
            raise Failure("nft cannot list this host's rules", fix=fix, detail=result.tail) from None
        return listing

    return host.once("nftables:ruleset", read)


def _filters_at_boot(host: Reader) -> bool:
    """Whether rules that drop packets will be loaded at boot, though none are loaded now."""
    texts = [(host.read(path) or b"").decode("utf-8", "replace") for path in CONFIGURATIONS]
    text = re.sub(r"#.*", "", "\n".join(texts))
    drops = "hook input" in text and re.search(r"\b(drop|reject)\b", text)
    return bool(drops) and unit_state(host, "nftables.service").enabled


def _try_out(host: Reader, opening: Opening) -> None:
    """Let nft check the commands before anything is installed. Raises Failure when it rejects them."""
    batch = nft_loader.differences(_listing(host), nft_boot.described(opening))
    result = host.query(["nft", "-c", "-f", "-"], stdin="\n".join([*batch, ""]))
    if not result.ok:
        raise Failure(f"nft rejects the rules for {opening}; nothing was changed", detail=result.tail)
