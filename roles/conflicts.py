"""What two instances may not have in common: found from the files, before any host is touched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import combinations

from encamp.errors import InventoryError, SettingsError
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.network import address
from roles.prefect.groups import SERVERS, is_server
from roles.prefect.kinds.endpoint import Endpoint
from roles.prefect.layout import Layout

EXAMPLE = "personal: {port: 4202}"
#: What a host's instances must each have for themselves: the setting, and its value for an instance.
_OWN: tuple[tuple[str, Callable[[SiteHost], str]], ...] = (
    ("port", lambda host: str(host.settings(address.Settings).port)),
    ("public_url", lambda host: address.normalized(host.settings(address.Settings).public_url)),
)


@record
class Conflict:
    """Two instances that would get in each other's way, and their hosts."""

    error: SettingsError
    hosts: tuple[str, str]


def find(site: Site, faulty: Collection[str] = ()) -> Iterator[Conflict]:
    """Instances that would get in each other's way, on one host or as servers. Of ``faulty`` hosts nothing is known."""
    for host in filter(is_server, _sound(site.hosts, faulty)):
        for one, other in combinations(host.instances, 2):
            yield from _in_pair(one, other, _OWN)
    servers = [view for host in _sound(site.in_group(SERVERS), faulty) for view in host.instances]
    for one, other in combinations(servers, 2):
        if one.name != other.name:
            yield from _in_pair(one, other, _OWN[1:])


def _sound(hosts: Iterable[SiteHost], faulty: Collection[str]) -> list[SiteHost]:
    return [host for host in hosts if host.name not in faulty]


def warnings(host: SiteHost, site: Site) -> list[str]:
    """Other servers that are the machine of this one: each deploy of one would undo the other's."""
    servers = [server for server in site.in_group(SERVERS) if _machine(server) == _machine(host)]
    others = [server.name for server in servers if server.name != host.name]
    if not others or not host.in_group(SERVERS):
        return []
    reason = (
        f"{host.name} and {', '.join(others)} are the same machine ({host.inventory.address}) and write the same files"
    )
    return [
        f"{reason}: list the machine once, with one instance for each server (instances: {{default: {{}}, {EXAMPLE}}})"
    ]


def _machine(host: SiteHost) -> tuple[object, ...]:
    """What is the same for two hosts that are reached in the same way."""
    try:
        return ("",) if host.inventory.local else (host.inventory.address, host.inventory.port)
    except InventoryError:
        return (host.name, None, None)  # whoever connects to it is told


def _in_pair(
    one: SiteHost, other: SiteHost, own: Iterable[tuple[str, Callable[[SiteHost], str]]]
) -> Iterator[Conflict]:
    for key, value in own:
        if value(one) and value(one) == value(other):
            error = SettingsError(
                f"{_title(one)} and {_title(other)} have the same {key}: {value(one)}",
                f"give each a different one, for example {key}: {_example(key, other)} {_place(other)}",
                other.origin(key) or one.origin(key) or other.origin("instances"),
            )
            yield Conflict(error, (one.name, other.name))


def _title(host: SiteHost) -> str:
    return f"{host.name} ({Layout(host.instance).name})"


def _place(host: SiteHost) -> str:
    alone = len(host.instances) == 1
    return f"for {host.name}" if alone else f"below instances: {Layout(host.instance).name}:"


def _example(key: str, host: SiteHost) -> str:
    if key == "port":
        return "4202"
    return str(Endpoint("http", host.client_address or host.name, host.settings(address.Settings).port))
