"""The secrets that encamp generates for a site: which hosts a deploy gives them to, and which clients."""

from __future__ import annotations

import typing

from encamp.shared.record import replace
from encamp.site import Site
from roles.registry import ROLES
from roles.role import GeneratedSecret, SecretKind

KINDS: tuple[str, ...] = typing.get_args(SecretKind)


def find(site: Site) -> list[GeneratedSecret]:
    """All generated secrets of a site, made already or not. Fetches none that is an operator's own."""
    found = [
        secret
        for role in ROLES
        for host in site.hosts
        for view in host.instances
        if role.applies_to(view)
        for secret in role.secrets(view, site)
    ]
    return list(_merged(sorted(found, key=lambda secret: KINDS.index(secret.kind))).values())


def _merged(found: list[GeneratedSecret]) -> dict[str, GeneratedSecret]:
    """One entry for each name: several servers may share a secret."""
    merged: dict[str, GeneratedSecret] = {}
    for secret in found:
        known = merged.get(secret.name, secret)
        hosts = tuple(dict.fromkeys([*known.hosts, *secret.hosts]))
        clients = tuple(dict.fromkeys([*known.clients, *secret.clients]))
        merged[secret.name] = replace(known, hosts=hosts, clients=clients)
    return merged
