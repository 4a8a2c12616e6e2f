"""Plain nftables: a rule of ours in the owner's chains, put back whenever the owner's rules are loaded."""

from __future__ import annotations

import json
import re
from typing import Any

from encamp.resources.base import Change, Failure
from encamp.resources.firewall import nft_boot as boot
from encamp.resources.firewall import nft_loader as loader
from encamp.resources.firewall.opening import Opening, nftables_listing
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_state

CONFIGURATIONS = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")


class Nftables:
    """The back end for a ruleset without a manager. The owner's files and rules stay as they are.

    Our accept goes into the owner's own chains (see ``firewall_nft_loader``). An owner who loads rules by hand, with
    ``nft -f`` and a flush, drops it until the firewall's service starts or reloads, or until the next deploy.
    """

    manages_nftables = False

    def active(self, host: Reader, opening: Opening) -> bool:
        if not host.which("nft"):
            return False
        ruleset = loader.Ruleset(_listing(host))
        wanted = boot.described(opening)
        return any(ruleset.filters(chain, wanted) for chain in ruleset.chains) or _filters_at_boot(host)

    def check(self, host: Reader, opening: Opening) -> list[Change]:
        if not host.which("nft"):
            return []
        if not opening.networks:
            ours = any(chain.ours(opening.name) for chain in loader.Ruleset(_listing(host)).chains)
            return [Change("nftables", "open", "closed")] if ours or boot.installed(host, opening) else []
        changes = []
        lasting = boot.check(host, opening)
        if lasting:
            diff = "\n".join(change.diff for change in lasting if change.diff)
            changes.append(Change("nftables, at boot", "missing", str(opening), diff))
        if loader.differences(_listing(host), boot.described(opening)):
            changes.append(Change("nftables, loaded rules", "missing", str(opening)))
        return changes

    def apply(self, host: System, opening: Opening) -> None:
        if opening.networks:
            _try_out(host, opening)
            boot.install(host, opening)
        else:
            boot.remove(host, opening)


def _listing(host: Reader) -> dict[str, Any]:
    """The rules in the kernel. Raises Failure when nft cannot tell."""

    def read() -> dict[str, Any]:
        result = nftables_listing(host)
        if "not supported" in result.err and not result.out:
            # A kernel without nf_tables.
            return {"nftables": []}
        try:
            listing: dict[str, Any] = json.loads(result.out)
        except ValueError:
            fix = "see what `nft -j list ruleset` says"
            raise Failure("nft cannot list this host's rules", fix=fix, detail=result.tail) from None
        return listing

    return host.once("nftables:ruleset", read)


def _filters_at_boot(host: Reader) -> bool:
    """Whether rules that drop something will be loaded at boot, though none are loaded now."""
    texts = [(host.read(path) or b"").decode("utf-8", "replace") for path in CONFIGURATIONS]
    text = re.sub(r"#.*", "", "\n".join(texts))
    drops = "hook input" in text and re.search(r"\b(drop|reject)\b", text)
    return bool(drops) and unit_state(host, "nftables.service").enabled


def _try_out(host: Reader, opening: Opening) -> None:
    """Let nft read the commands before anything is installed. Raises Failure when it refuses them."""
    batch = loader.differences(_listing(host), boot.described(opening))
    result = host.query(["nft", "-c", "-f", "-"], stdin="\n".join([*batch, ""]))
    if not result.ok:
        raise Failure(f"nft refuses the rules for {opening}: nothing was changed", detail=result.tail)
