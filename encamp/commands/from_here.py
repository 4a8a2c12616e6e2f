"""Servers are used from this machine, at the address that clients use.

After a deploy those that changed; after a verification those that only their own hosts have verified.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Collection, Iterator, Sequence

from encamp.output.outcome import Outcome
from encamp.output.terminal import report
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.doctor.from_here import Seen, look
from roles.network import address
from roles.prefect.groups import is_server
from roles.prefect.server_choice import server_for
from roles.worker.role import is_declared

#: A server that gives every client a wrong answer has failed.
FAILED = 2
AT_ONCE = 10


@record
class Proof:
    """What this machine saw of a server; ``workers`` are other hosts whose flow runs reached it in the same run."""

    seen: Seen
    workers: tuple[str, ...]


@record
class Proofs:
    """What this machine saw of several servers."""

    all: tuple[Proof, ...]

    @property
    def exit_code(self) -> int:
        """0 unless one of the servers gives every client a wrong answer."""
        return FAILED if any(proof.seen.verdict == "wrong" for proof in self.all) else 0

    def report(self) -> None:
        """A line for each address: that it was proven from another host, or why not."""
        for proof in self.all:
            for line in _lines(proof.seen, proof.workers):
                report(f"  {line}")


def changed_servers(
    site: Site, selected: Sequence[SiteHost], outcomes: Sequence[Outcome], instance: str = ""
) -> Proofs:
    """What this machine sees of the servers that a deploy changed. Raises SettingsError."""
    changed = {outcome.host for outcome in outcomes if outcome.status == "ok" and outcome.counts["changed"]}
    hosts = [host for host in selected if host.name in changed]
    servers = [
        server for host in hosts if is_server(host) for server in host.instances if instance in ("", server.instance)
    ]
    return _seen(servers, site, hosts)


def verified_at_home(site: Site, verified: Collection[SiteHost], elsewhere: Collection[str], instance: str) -> Proofs:
    """What this machine sees of the servers that only their own hosts have verified. Raises SettingsError.

    ``verified``: the hosts that did, as servers or workers. ``elsewhere``: the API's URLs that clients have verified.
    """
    servers = [
        server
        for host in verified
        for server in host.instances
        if is_server(server) and instance in ("", server.instance) and address.api_url(server) not in elsewhere
    ]
    return _seen([server for server in servers if not any(_workers(server, site, verified))], site, verified)


def _seen(servers: Sequence[SiteHost], site: Site, hosts: Collection[SiteHost]) -> Proofs:
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:  # one that cannot be reached takes some seconds
        seen = list(pool.map(lambda server: look(server, site), servers))
    return Proofs(tuple(Proof(one, tuple(_workers(server, site, hosts))) for server, one in zip(servers, seen)))


def _workers(server: SiteHost, site: Site, hosts: Collection[SiteHost]) -> Iterator[str]:
    """Other hosts whose workers were verified with a server."""
    for host in hosts:
        declared = [own for own in host.instances if is_declared(own)]
        if host.name != server.name and any(_is_same(server_for(own, site), server) for own in declared):
            yield host.name


def _is_same(one: SiteHost, other: SiteHost) -> bool:
    return (one.name, one.instance) == (other.name, other.instance)


def _lines(seen: Seen, workers: Sequence[str]) -> Iterator[str]:
    what = seen.finding.text if seen.finding else "it is the server itself"
    if seen.verdict == "well":
        yield f"{seen.url} responds to this machine: API, WebSockets, UI"
    elif seen.verdict == "wrong" and seen.finding:
        yield f"FAILED  {seen.url}, as this machine sees it: {what}"
        yield from (f"    {line}" for line in (f"cause: {seen.finding.cause}", f"fix:   {seen.finding.fix}"))
    elif workers:
        yield f"{seen.url} responds to workers ({', '.join(workers)}), but was not tried from this machine: {what}"
    else:
        yield f"{seen.url} was not proven from another host; this machine cannot: {what}"
        yield "to prove it from a client: fab -H LAPTOP doctor"
