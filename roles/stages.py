"""The order of the play: which roles make up a stage, and which hosts take part in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from encamp.errors import UsageError
from encamp.planning.plan import Item, Step, for_instance
from encamp.site import Site, SiteHost
from roles import unused_settings
from roles.network import access, address
from roles.prefect import known_faults, server_choice
from roles.prefect.groups import CLIENTS, is_server
from roles.registry import ROLES, settings_of
from roles.role import Role
from roles.worker import role as worker

#: Every role's settings: the keys that an inventory may set.
SETTINGS = settings_of(ROLES)
#: The roles that a deploy brings to hosts. A stage opens when every host of the one before is healthy.
STAGES: tuple[Role, ...] = tuple(role for role in ROLES if role.resources)


def taking_part(host: SiteHost, instance: str = "", roles: Sequence[Role] = STAGES) -> list[Role]:
    """The stages that a host, or just one of its instances, belongs to.

    Raises UsageError for a host that a deploy has nothing for.
    """
    stages = [role for role in roles if _views(host, role, instance)]
    if not stages and instance:
        known = ", ".join(view.instance for view in host.instances)
        raise UsageError(f"{host.name} has no instance {instance} to deploy (it has {known})", "see instances:")
    if not stages:
        hint = "run `fab configure-client` for it" if host.in_group(CLIENTS) else "add it to the group servers"
        raise UsageError(
            f"{host.name} is not in a group that deploy uses ({', '.join(role.group for role in roles)})", hint
        )
    return stages


def items(host: SiteHost, site: Site, stages: Sequence[Role], prove: bool, instance: str = "") -> Iterator[Item]:
    """Everything declared for a host in its stages: expectations first, at the end the verification of what changed.

    A worker's verification also covers its server, so only the last stage of an instance is verified.
    """
    taken = [(stage, view) for stage in stages for view in _views(host, stage, instance)]
    for stage, view in taken:
        if not stage.per_host:
            known_faults.refuse(view, _facts(view, site))
        yield from stage.expectations(view, site)
    for stage, view in taken:
        for item in stage.resources(view, site) if stage.resources else ():
            yield for_instance("" if stage.per_host else _part(view), item)
    last = {view.instance: (stage.verification, view) for stage, view in taken if stage.verification}
    if prove:
        for verification, view in last.values():
            yield Step(verification(view, site), when_changed=True, instance=_part(view))


def warnings(host: SiteHost, site: Site, instance: str = "") -> list[str]:
    """What an operator should know of a host's releases and settings before a deploy, each once."""
    views = [view for stage in STAGES if not stage.per_host for view in _views(host, stage, instance)]
    found = [text for view in views for text in known_faults.warnings(view, _facts(view, site))]
    found += [text for role in ROLES for view in views if role.applies_to(view) for text in role.warnings(view, site)]
    found += [text for view in views for text in unused_settings.warnings(view, site)]
    return list(dict.fromkeys(found))


def _facts(host: SiteHost, site: Site) -> list[str]:
    """What faults of a release depend on."""
    runs = worker.is_declared(host)
    used = host if is_server(host) else server_choice.server_for(host, site) if runs else None
    held = {
        "worker": runs,
        "auth": used is not None and access.auth(used, site) is not None,
        "ipv6": is_server(host) and ":" in address.bind(host),
        "proxy": is_server(host) and host.settings(address.Settings).tls != "off",
    }
    return [fact for fact, holds in held.items() if holds]


def _part(host: SiteHost) -> str:
    """The name that distinguishes an instance's steps; empty for a host with one instance."""
    return host.instance if len(host.instances) > 1 else ""


def _views(host: SiteHost, stage: Role, instance: str) -> Sequence[SiteHost]:
    if stage.per_host:
        return [view for view in host.instances[:1] if stage.applies_to(view)]
    return [view for view in host.instances if instance in ("", view.instance) and stage.applies_to(view)]
