"""Which logs a host has, by what the site declares, and which secrets must not show in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from encamp.errors import EncampError, UsageError
from encamp.planning.plan import Flush, Step, resource_wire
from encamp.shared.record import record, replace
from encamp.shared.secret import Secret
from encamp.shared.wire import BlobStore
from encamp.site import Site, SiteHost
from roles import stages
from roles.database import host as database_host
from roles.database import settings as database
from roles.logs.kinds.line import LEVELS
from roles.logs.kinds.logs import Logs
from roles.network import address
from roles.prefect import runtime, unit_words
from roles.prefect.account import layout_of
from roles.prefect.groups import is_server


@record
class Wanted:
    """What of the logs is wanted, by the options of `fab logs`."""

    units: Sequence[str] = ()
    since: str = ""
    lines: int = 0
    level: str = ""
    grep: str = ""
    follow: bool = False

    def only(self) -> tuple[str, ...]:
        """Patterns of names of units."""
        return unit_words.patterns(self.units)


def level_of(text: str) -> str:
    """A level by its name, in any case. Raises UsageError."""
    level = text.upper().replace("WARN", "WARNING").replace("WARNINGING", "WARNING")
    if level and level not in LEVELS:
        raise UsageError(f"--level {text}: no such level", f"one of {', '.join(LEVELS).lower()}")
    return level


def of_host(host: SiteHost, site: Site, wanted: Wanted) -> Logs:
    """The logs of a host. Raises SettingsError."""
    servers = [view for view in host.instances if is_server(view)]
    stacks = {view: runtime.Stack(layout_of(view)) for view in servers if runtime.is_chosen(view)}
    native = any(view not in stacks and database.on_this_host(view) for view in servers)
    keeps_cluster = native or database_host.is_declared(host)
    return Logs(
        "logs",
        cluster=database_host.cluster(host) if keeps_cluster else "",
        containers={stack.postgres: f"postgres{_suffix(view)}" for view, stack in stacks.items()},
        proxied=any(view.settings(address.Settings).tls != "off" for view in servers),
        only=wanted.only(),
        lines=wanted.lines,
        since=wanted.since,
        level=wanted.level,
        grep=wanted.grep,
        follow=wanted.follow,
        secrets=tuple(secrets_of(host, site)),
    )


def resumed(logs: Logs, position: Mapping[str, str]) -> Logs:
    """The same from where an earlier run ended."""
    return replace(logs, position=dict(position))


def _suffix(view: SiteHost) -> str:
    return "" if len(view.instances) == 1 else f"-{view.instance}"


def secrets_of(host: SiteHost, site: Site) -> list[Secret]:
    """Every secret that a deploy gives a host, once: a program may have printed it."""
    found: dict[Secret, None] = {}
    try:
        for item in stages.items(host, site, stages.taking_part(host), prove=False):
            if not isinstance(item, Flush):
                resource = item.resource if isinstance(item, Step) else item
                found.update(dict.fromkeys(_secrets(resource_wire(resource, BlobStore()))))
    except EncampError:  # a host that cannot be deployed: what was found so far
        pass
    return list(found)


def _secrets(data: Any) -> Iterator[Secret]:
    if isinstance(data, dict):
        if "$secret" in data:
            yield Secret(data["$secret"])
        for value in data.values():
            yield from _secrets(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _secrets(value)
