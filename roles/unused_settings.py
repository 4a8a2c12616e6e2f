"""Settings in an inventory that have no effect: warned about before a deploy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.database import connection as database_connection
from roles.database import host as database_host
from roles.database import settings as database
from roles.network import address, cloud_settings
from roles.prefect import runtime
from roles.prefect.groups import is_server
from roles.registry import ROLES
from roles.worker import units as worker_units


@record
class Rule:
    """``keys`` of settings, and why they have no effect on an instance (empty: they have one).

    ``server``: they are read for a server; what another host inherits from its group is not a mistake.
    """

    keys: tuple[str, ...]
    why: Callable[[SiteHost, Site], str]
    server: bool = True


def _file(host: SiteHost, site: Site) -> str:
    return "the database is a file (database: sqlite)" if database.kind(host) == "sqlite" else ""


def _no_network(host: SiteHost, site: Site) -> str:
    socket = "the server uses its database through a local socket"
    return _file(host, site) or (socket if database.kind(host) == "socket" else "")


def _unchecked(host: SiteHost, site: Site) -> str:
    if _no_network(host, site):
        return _no_network(host, site)
    mode = database_connection.tls(host, site)
    return "" if mode == "verify" else f"it requires database_tls: verify, but that is {mode}"


def _not_kept(host: SiteHost, site: Site) -> str:
    return (
        ""
        if database.kind(host) == "network"
        else "the database is not on another host of the inventory (database_host)"
    )


def _no_stack(host: SiteHost, site: Site) -> str:
    return "" if runtime.is_chosen(host) else "it is only used with runtime: compose"


def _stacks_own(host: SiteHost, site: Site) -> str:
    alone = all(map(database.has_postgres, host.instances)) and not database_host.is_declared(host)
    return "the Postgres of a stack uses the defaults of its image (runtime: compose)" if alone else ""


def _only_stack(host: SiteHost, site: Site) -> str:
    native = not runtime.is_chosen(host) or worker_units.is_declared(host)
    return "" if native else "the image includes its own (runtime: compose)"


def _no_runner(host: SiteHost, site: Site) -> str:
    return "" if worker_units.is_declared(host) else "no worker or agent is declared for this host"


def _no_short_form(host: SiteHost, site: Site) -> str:
    short = worker_units.has_short_form(host)
    return (
        ""
        if short
        else _no_runner(host, site) or "it is used with work_pool:; entries of workers: have their own limit:"
    )


def _tls_other_than(*modes: str) -> Callable[[SiteHost, Site], str]:
    def why(host: SiteHost, site: Site) -> str:
        mode = host.settings(address.Settings).tls
        return "" if mode in modes else f"it requires tls: {' or '.join(modes)}, but tls is {mode}"

    return why


def _no_cloud(host: SiteHost, site: Site) -> str:
    return "it requires cloud: aws or another one" if host.settings(cloud_settings.Settings).cloud == "none" else ""


#: Settings of one role's hosts that other hosts read, too.
WIDER = ("auth", "firewall", "client_database_sources")
RULES = (
    Rule(("database_pool_size", "database_max_overflow", "database_name", "database_shared"), _file),
    Rule(("database_tls",), _no_network),
    Rule(("database_ca_file", "database_tls_check_hostname", "database_cert_file"), _unchecked),
    Rule(("database_client_address", "client_database_sources"), _not_kept),
    Rule(("prefect_image", "postgres_image", "image_archive", "registry_user", "registry_password"), _no_stack),
    Rule(("python",), _only_stack),
    Rule(("postgres_max_connections",), _stacks_own),
    Rule(("worker_stop_timeout", "worker_killed_runs"), _no_runner, server=False),
    Rule(("worker_limit", "work_pool_concurrency"), _no_short_form, server=False),
    Rule(("tls_certificate", "tls_key"), _tls_other_than("files")),
    Rule(("tls_redirect",), _tls_other_than("internal", "acme", "files")),
    Rule(("cloud_ingress", "cloud_security_group", "cloud_instance", "cloud_region"), _no_cloud),
    Rule(("acme_email", "acme_directory", "acme_ca_root"), _tls_other_than("acme")),
)


def warnings(host: SiteHost, site: Site) -> Iterator[str]:
    """What an instance is given in vain, with file and line. Not what others read that have it from the same line."""
    yield from _misplaced(host, site)
    for rule in RULES:
        given = [key for key in rule.keys if host.origin(key)]
        why = rule.why(host, site) if given and (is_server(host) or not rule.server) else ""
        for key in given if why else ():
            if not _read_elsewhere(rule, key, host, site):
                yield f"{host.origin(key)}: {key} has no effect: {why}"


def _misplaced(host: SiteHost, site: Site) -> Iterator[str]:
    """Settings of another kind of host. What stands for all hosts is read by those that the inventory does not list."""
    views = [view for other in site.hosts for view in other.instances]
    for role in (role for role in ROLES if role.owners):
        for key in [
            field.name for cls in role.settings for field in dataclasses.fields(cls) if field.name not in WIDER
        ]:
            where, shared = host.origin(key), site.inventory.variables.get(key)
            if where is None or role.is_read_by(host) or (shared and shared.origin == where):
                continue
            if not any(role.is_read_by(view) for view in views if view.origin(key) == where):
                yield f"{where}: {key} has no effect: it is for {role.owners}, and {host.name} is none of them"


def _read_elsewhere(rule: Rule, key: str, host: SiteHost, site: Site) -> bool:
    """Whether an instance anywhere makes use of the same line."""
    views = (view for other in site.hosts for view in other.instances if view.origin(key) == host.origin(key))
    return any(not rule.why(view, site) for view in views if is_server(view) or not rule.server)
