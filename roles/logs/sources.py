"""Which logs a host has, by what the site declares, and which secrets must not show in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from encamp.errors import EncampError, UsageError
from encamp.planning.plan import Flush, Step, resource_wire
from encamp.secrets.store import PLACEHOLDER
from encamp.shared.record import record, replace, values
from encamp.shared.secret import Secret
from encamp.shared.wire import BlobStore
from encamp.site import Site, SiteHost
from roles import stages
from roles.database import host as database_host
from roles.database import settings as database
from roles.logs.kinds.line import LEVELS
from roles.logs.kinds.logs import Logs
from roles.network import access, address
from roles.prefect import runtime, unit_words
from roles.prefect.account import layout_of
from roles.prefect.groups import is_server
from roles.prefect.server_choice import server_for
from roles.registry import ROLES
from roles.worker import role as worker

#: Characters of a password, and of a line of a key, from which they are masked by themselves.
SHORT, LONG = 4, 16


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
    """Every secret that a host gets, once, and the parts of it that a program may print alone.

    Those of its settings and the generated ones by themselves: in a plan they are parts of files.
    """
    found: dict[Secret, None] = {}
    try:
        for view in host.instances:
            for role in ROLES:
                for settings in role.settings:
                    found.update(dict.fromkeys(_within(view.settings(settings))))
                for generated in role.secrets(view, site):
                    found[site.generated(generated.name)] = None
            auth = access.auth(server_for(view, site), site) if worker.is_declared(view) else None
            found.update({auth: None} if auth else {})
        for item in stages.items(host, site, stages.taking_part(host), prove=False):
            if not isinstance(item, Flush):
                resource = item.resource if isinstance(item, Step) else item
                found.update(dict.fromkeys(_of_wire(resource_wire(resource, BlobStore()))))
    except EncampError:  # a host that cannot be deployed: what was found so far
        pass
    return list(dict.fromkeys(part for secret in found if secret != PLACEHOLDER for part in _parts(secret)))


def _parts(secret: Secret) -> Iterator[Secret]:
    """A secret as it shows in a line: of ``user:password`` also the password, of a key each long line."""
    text = secret.reveal()
    lines = text.splitlines()
    if len(lines) > 1:
        yield from (Secret(line) for line in lines if len(line) >= LONG and not line.startswith(("#", "-----")))
        return
    yield secret
    password = text.partition(":")[2]
    if len(password) >= SHORT:
        yield Secret(password)


def _within(value: Any) -> Iterator[Secret]:
    """The secrets in a setting: itself, in a record, a mapping or a list."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        yield from (secret for item in value.values() for secret in _within(item))
    elif isinstance(value, (list, tuple)):
        yield from (secret for item in value for secret in _within(item))
    elif hasattr(value, "__record_fields__"):
        yield from (secret for item in values(value) for secret in _within(item))


def _of_wire(data: Any) -> Iterator[Secret]:
    """The secrets in a resource. A whole file is none: only its values show in logs."""
    if isinstance(data, dict):
        if "$secret" in data and "\n" not in data["$secret"]:
            yield Secret(data["$secret"])
        for value in data.values():
            yield from _of_wire(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _of_wire(value)
