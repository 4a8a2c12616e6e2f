"""Whether the address that clients use answers from outside; if not, whether packets reach this host at all."""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping, Optional

from encamp.resources.firewall.opening import NFT_LIST, nftables_listing, unmanaged
from encamp.resources.system import Reader
from roles.doctor.kinds.arrivals import arrivals
from roles.doctor.kinds.findings import FAIL, WARN, Finding, ok, unknown, warn
from roles.doctor.kinds.server.subject import ServerSubject
from roles.prefect.kinds.endpoint import Endpoint

#: How an attempt of the controller to connect ends.
OPEN, REFUSED, SILENT = "open", "refused", "silent"


def check_outside(subject: ServerSubject) -> Optional[Finding]:
    """The controller connects to the address that clients use, while this host counts what arrives."""
    host, url = subject.host, str(subject.kind.health.get("public_api_url", ""))
    if not url or not host.is_root:
        return None
    endpoint = Endpoint.of(url)
    try:
        with arrivals(endpoint.port) as packets:
            knock = host.knock(endpoint.host, endpoint.port)
            sources = packets.sources()
    except OSError as error:  # a container without raw sockets
        return unknown(f"this host does not let packets be counted as they arrive: {error.strerror or error}")
    if knock["result"] == OPEN:
        return ok(f"{endpoint.authority} answers the machine encamp runs on")
    return closed(subject, endpoint, knock, sources)


def closed(subject: ServerSubject, endpoint: Endpoint, knock: Mapping[str, Any], sources: Mapping[str, int]) -> Finding:
    """What an attempt that failed and the packets that it left here mean together."""
    text = f"{endpoint.authority} does not answer the machine encamp runs on: {knock['text']}"
    served = _served(subject.host, endpoint.port)
    unserved = {source: count for source, count in sources.items() if source not in served}
    count = sum(unserved.values())
    came = f"{count} packets arrived here, from {', '.join(unserved)}" if count else "no packet of it arrived here"
    if knock["result"] == REFUSED and count:
        return _refused_here(subject.host, endpoint, f"{text}; {came}")
    if knock["result"] == SILENT and count:
        return _dropped_here(subject, endpoint, f"{text}; {came}")
    if knock["result"] in (REFUSED, SILENT):
        cause = BEFORE[knock["result"]]
        fix = f"open {endpoint.port}/tcp there (on a cloud's machine: cloud: in the inventory), or correct public_url"
        return warn(f"{text}; {came}", cause, fix)
    return warn(text, "", f"check that {endpoint.host} is the address of this host where clients are")


def _served(host: Reader, port: int) -> set[str]:
    """The addresses whose connections to ``port`` this host has accepted: workers that poll, not who is shut out."""
    states = ("state", "connected", "exclude", "syn-recv")
    rows = (line.split() for line in host.query(["ss", "-Htn", *states, "sport", "=", f":{port}"]).out.splitlines())
    peers = (row[-1].rpartition(":")[0].strip("[]") for row in rows if row and row[0] != "LISTEN")
    return {peer.removeprefix("::ffff:") if "." in peer else peer for peer in peers}


#: What may stand before a host, likeliest first.
BEFORE = {
    SILENT: "dropped before this host: a cloud's firewall (security group, network ACL), a router, or public_url leads "
    "elsewhere",
    REFUSED: "refused before this host: public_url leads to another machine, or a router answers for this one",
}


def _refused_here(host: Reader, endpoint: Endpoint, text: str) -> Finding:
    listing = host.query(["ss", "-Hltn", f"sport = :{endpoint.port}"]).out.split("\n")
    listens = [line.split()[3].rpartition(":")[0] for line in listing if len(line.split()) > 3]
    if not listens:
        return warn(text, f"nothing listens on port {endpoint.port} here", "start the server, or correct public_url")
    if all(address.strip("[]").startswith(("127.", "::1")) for address in listens):
        return warn(text, f"it listens on {', '.join(listens)} only", "set bind:, or let a proxy listen for clients")
    return warn(text, f"this host rejects it: {_rule_sets(host)}", f"see its rules: {' '.join(_listing(host))}")


def _dropped_here(subject: ServerSubject, endpoint: Endpoint, text: str) -> Finding:
    """Sources may be limited on purpose, and the controller may be none of them."""
    limited = subject.kind.sources
    rules = " ".join(_listing(subject.host))
    fix = f"let {endpoint.port}/tcp in: `fab -H {subject.kind.server} deploy`; its rules: {rules}"
    if limited:
        fix = f"no mistake if this machine is not in allowed_sources ({', '.join(limited)}); else {fix}"
    return Finding(WARN if limited else FAIL, text, f"dropped by this host: {_rule_sets(subject.host)}", fix)


def _listing(host: Reader) -> tuple[str, ...]:
    """The command that shows the rules of the firewall at work."""
    if _ufw(host):
        return ("ufw", "status", "verbose")
    return ("iptables", "-S", "INPUT") if unmanaged(host) else (NFT_LIST[0], *NFT_LIST[2:])


def _ufw(host: Reader) -> bool:
    return b"ENABLED=yes" in (host.read("/etc/ufw/ufw.conf") or b"")


def _rule_sets(host: Reader) -> str:
    """The firewalls of this host that drop or reject packets to it, by name."""
    managers = ["ufw"] if _ufw(host) else []
    managers += ["firewalld"] if host.query(["firewall-cmd", "--state"]).ok else []
    other = unmanaged(host)
    chains = list(dict.fromkeys(_filtering_chains(host)))
    return (
        "; ".join([*managers, *chains, *([other] if other else [])])
        or "not by nftables or iptables, as far as is known"
    )


def _filtering_chains(host: Reader) -> Iterator[str]:
    """Chains of nftables at the kernel's input that drop by policy, or hold a rule that drops or rejects."""
    try:
        listed = json.loads(nftables_listing(host).out or "{}").get("nftables", [])
    except ValueError:
        return
    hooked = {}
    for chain in (entry["chain"] for entry in listed if "chain" in entry):
        if chain.get("hook") in ("input", "prerouting", "ingress"):
            name = f"nftables table {chain['family']} {chain['table']}, chain {chain['name']}"
            hooked[chain["family"], chain["table"], chain["name"]] = name
            if chain.get("policy") == "drop":
                yield f"{name} (policy drop)"
    for rule in (entry["rule"] for entry in listed if "rule" in entry):
        name = hooked.get((rule["family"], rule["table"], rule["chain"]), "")
        if name and any(word in part for part in rule["expr"] for word in ("drop", "reject")):
            yield name
