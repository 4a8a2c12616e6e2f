"""ufw: encamp's rules have a comment, which ufw keeps in its rules files."""

from __future__ import annotations

import ipaddress
import re
from typing import Iterator

from encamp.resources.base import Change, Refused
from encamp.resources.firewall.opening import Network, Opening, address
from encamp.resources.system import Reader, System
from encamp.shared.record import record, replace

RULES = {4: "/etc/ufw/user.rules", 6: "/etc/ufw/user6.rules"}
CHAINS = {4: ("iptables", "ufw-user-input"), 6: ("ip6tables", "ufw6-user-input")}
ANY = {4: "0.0.0.0/0", 6: "::/0"}


@record
class Tuple:
    """A rule as in its ``### tuple ###`` line in a rules file, without the comment."""

    version: int
    action: str
    protocol: str
    port: str
    to: str
    source_port: str
    source: str
    direction: str


class Ufw:
    """The back end for ufw. It reads the rules files; ufw itself (Python, slow) runs only for changes."""

    manages_nftables = True

    def active(self, host: Reader, opening: Opening) -> bool:
        return bool(host.which("ufw")) and _setting(host, "/etc/ufw/ufw.conf", "ENABLED") == "yes"

    def check(self, host: Reader, opening: Opening) -> list[Change]:
        if not host.which("ufw"):
            return []
        changes = [Change("ufw", after=f"remove the old rule for {rule.source}") for rule in _stale(host, opening)]
        if _missing(host, opening):
            changes.append(Change("ufw", "missing", str(opening)))
        elif any(True for _ in _not_loaded(host, opening)):
            changes.append(Change("ufw, loaded rules", "missing", str(opening)))
        return changes

    def apply(self, host: System, opening: Opening) -> None:
        for rule in _stale(host, opening):
            host.run(["ufw", "delete", *_words(rule)])
        missing = _missing(host, opening)
        if opening.anywhere and missing == _wanted(host, opening):
            # One rule for both IP versions, unless one of them is the owner's: its comment would change.
            missing = [replace(missing[0], source="any")]
        for rule in missing:
            host.run(["ufw", *_words(rule), "comment", opening.comment])
        for program, arguments in list(_not_loaded(host, opening)):
            # Exactly what ufw would load; `ufw reload` would drop rules that the owner loaded by hand.
            host.run([program, "-w", "-A", *arguments])

    def refuse(self, host: Reader, opening: Opening) -> None:
        """ufw has one rule for each match: `ufw allow` replaces a `deny` or `limit` of the same port and source."""
        wanted = _wanted(host, opening)
        for rule, _ in _rules(host):
            if not _allows(rule) and replace(rule, action="allow") in wanted:
                raise Refused(
                    f"ufw's rule `{' '.join(_words(rule))}` is in the place of the one that would open the port",
                    "encamp did not write it, and ufw would replace it",
                    "`ufw status numbered`, then `ufw delete NUMBER` if clients may reach the port, and deploy again; "
                    "or set firewall: false, and open it yourself",
                )

    def denials(self, host: Reader, opening: Opening) -> list[str]:
        """ufw takes the first rule that fits: those before encamp's."""
        wanted = _wanted(host, opening)
        found = []
        for rule, _ in _rules(host):
            if _allows(rule) and replace(rule, action="allow") in wanted:
                wanted.remove(replace(rule, action="allow"))
            elif any(_denies(rule, other, opening) for other in wanted):
                found.append(f"ufw's rule `{rule.action} from {rule.source}`")
        return list(dict.fromkeys(found))


def _allows(rule: Tuple) -> bool:
    """Whether a rule lets packets in, logged (``allow_log``) or not."""
    return rule.action.partition("_")[0] == "allow"


def _denies(rule: Tuple, wanted: Tuple, opening: Opening) -> bool:
    """Whether an owner's rule denies clients of a wanted one."""
    fits = rule.action.partition("_")[0] in ("deny", "reject") and rule.direction.startswith("in")
    fits = fits and rule.version == wanted.version and rule.source_port == "any"
    fits = fits and rule.protocol in ("any", opening.protocol)
    return fits and _has_port(rule.port, opening.port) and _overlap(rule.source, wanted.source)


def _has_port(ports: str, port: int) -> bool:
    """Whether ``any``, ``80,443`` or ``8000:9000`` include a port."""
    ranges = (part.split(":") for part in ports.split(","))
    return ports == "any" or any(int(bounds[0]) <= port <= int(bounds[-1]) for bounds in ranges)


def _overlap(source: str, other: str) -> bool:
    first, second = (ipaddress.ip_network(text, strict=False) for text in (source, other))
    return first.version == second.version and first.overlaps(second)


def _setting(host: Reader, path: str, name: str) -> str:
    text = (host.read(path) or b"").decode("utf-8", "replace")
    match = re.search(rf"^\s*{name}\s*=\s*[\"']?(\w+)", text, re.MULTILINE)
    return match.group(1).lower() if match else ""


def parse_rules(text: str, version: int) -> Iterator[tuple[Tuple, str]]:
    """The rules of a rules file with their comments. Skips those for application profiles and forwarding."""
    for line in text.splitlines():
        words = line.split()
        if words[:3] != ["###", "tuple", "###"]:
            continue
        comment = _comment(words.pop()) if words[-1].startswith("comment=") else ""
        if len(words) == 10:
            yield Tuple(version, *words[3:]), comment


def _comment(word: str) -> str:
    """ufw writes comments as hexadecimal digits."""
    try:
        return bytes.fromhex(word[len("comment=") :]).decode("utf-8", "replace")
    except ValueError:
        return ""


def _rules(host: Reader) -> list[tuple[Tuple, str]]:
    def read() -> list[tuple[Tuple, str]]:
        files = ((version, (host.read(path) or b"").decode("utf-8", "replace")) for version, path in RULES.items())
        return [rule for version, text in files for rule in parse_rules(text, version)]

    return host.once("ufw:rules", read)


def _wanted(host: Reader, opening: Opening) -> list[Tuple]:
    versions = (4, 6) if _setting(host, "/etc/default/ufw", "IPV6") == "yes" else (4,)
    return [_tuple(opening, network) for version in versions for network in opening.of_version(version)]


def _tuple(opening: Opening, network: Network) -> Tuple:
    to = ANY[network.version]
    return Tuple(network.version, "allow", opening.protocol, str(opening.port), to, "any", address(network), "in")


def _missing(host: Reader, opening: Opening) -> list[Tuple]:
    """Wanted rules that do not exist yet. An equal rule of the owner counts, and stays the owner's."""
    present = {replace(rule, action="allow") for rule, _ in _rules(host) if _allows(rule)}
    return [rule for rule in _wanted(host, opening) if rule not in present]


def _stale(host: Reader, opening: Opening) -> list[Tuple]:
    """encamp's rules that are no longer wanted."""
    wanted = _wanted(host, opening)
    return [rule for rule, comment in _rules(host) if comment == opening.comment and rule not in wanted]


def _words(rule: Tuple) -> list[str]:
    return [rule.action, "in", "proto", rule.protocol, "from", rule.source, "to", "any", "port", rule.port]


def _not_loaded(host: Reader, opening: Opening) -> Iterator[tuple[str, list[str]]]:
    """Wanted rules that are in the files but not in the kernel, as (program, arguments after -A)."""
    for rule in _wanted(host, opening):
        program, chain = CHAINS[rule.version]
        loaded = host.once(f"ufw:{chain}", lambda p=program, c=chain: host.query([p, "-w", "-S", c]))  # type: ignore[misc]
        length = 32 if rule.version == 4 else 128
        source = [] if rule.source == ANY[rule.version] else ["-s", _with_length(rule.source, length)]
        match = ["-p", rule.protocol, "-m", rule.protocol, "--dport", rule.port, "-j", "ACCEPT"]
        arguments = [chain, *source, *match]
        # Without a loaded chain ufw filters nothing.
        if loaded.ok and " ".join(["-A", *arguments]) not in loaded.out.splitlines():
            yield program, arguments


def _with_length(source: str, length: int) -> str:
    return source if "/" in source else f"{source}/{length}"
