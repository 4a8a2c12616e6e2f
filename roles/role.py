"""What a role is: the record that each ``role.py`` ends with, and that is read by all that concerns every role."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from encamp.planning.plan import Item
from encamp.resources.base import Resource
from encamp.shared.record import record
from encamp.site import Site, SiteHost

Items = Callable[[SiteHost, Site], Iterator[Item]]
SecretKind = Literal["auth", "role", "authority", "key"]


@record
class GeneratedSecret:
    """A secret of the site's store. ``hosts`` get it by a deploy, in this order; ``clients`` by configure-client.

    ``setting`` is the setting that it stands for, ``what`` describes it.
    """

    name: str
    kind: SecretKind
    setting: str
    what: str
    hosts: tuple[str, ...]
    clients: tuple[str, ...] = ()


def no_host(host: SiteHost) -> bool:
    """Applies to no host."""
    return False


def nothing(host: SiteHost, site: Site) -> Iterator[Item]:
    """No items."""
    return iter(())


def nothing_to_remove(host: SiteHost, instance: str) -> Iterator[Item]:
    """No items."""
    return iter(())


def no_secrets(host: SiteHost, site: Site) -> Iterable[GeneratedSecret]:
    """None."""
    return ()


def no_warnings(host: SiteHost, site: Site) -> Iterable[str]:
    """None."""
    return ()


@record
class Role:
    """One role: what an inventory may say of it, where it is deployed, and how it is taken off again.

    ``group`` is the inventory's group of its hosts. ``settings`` are classes whose fields an inventory may set.
    ``owners`` names the hosts that these settings are for, and ``reads`` says which they are (None: those that the role
    applies to); a setting on another host is warned about. Without ``owners`` they may stand anywhere.

    A role with ``resources`` is a stage of a deploy, for each instance of a host that it ``applies_to``: its
    ``expectations`` must hold before anything on the host is changed, then come its resources, and at the end its
    ``verification`` (None: the resources verify themselves). ``per_host``: once for a host, not for each instance.

    ``undeploy`` takes an instance, which the inventory need not list any more, off a host. ``secrets`` are those
    generated for an instance, ``warnings`` what an operator should know of an instance before a deploy.
    """

    name: str
    group: str = ""
    settings: tuple[type, ...] = ()
    owners: str = ""
    reads: Callable[[SiteHost], bool] | None = None
    applies_to: Callable[[SiteHost], bool] = no_host
    expectations: Items = nothing
    resources: Items | None = None
    verification: Callable[[SiteHost, Site], Resource] | None = None
    per_host: bool = False
    undeploy: Callable[[SiteHost, str], Iterator[Item]] = nothing_to_remove
    secrets: Callable[[SiteHost, Site], Iterable[GeneratedSecret]] = no_secrets
    warnings: Callable[[SiteHost, Site], Iterable[str]] = no_warnings

    def is_read_by(self, host: SiteHost) -> bool:
        """Whether its settings mean something for an instance."""
        return (self.reads or self.applies_to)(host)
