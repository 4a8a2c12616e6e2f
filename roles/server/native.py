"""The server as a service of its host: unprivileged, hardened, healthy before a deploy says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from encamp.errors import SettingsError
from encamp.planning.plan import FLUSH, Item, Step
from encamp.resources.base import Resource
from encamp.resources.files.file import File
from encamp.resources.python.release_link import ReleaseLink
from encamp.resources.systemd.probe import SystemdProbe
from encamp.resources.systemd.restart import Restart
from encamp.resources.systemd.service import Service
from encamp.resources.systemd.unit import SystemdUnit
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.adopt import takeover
from roles.adopt.kinds.server_place import ServerPlace
from roles.database import connection as database_connection
from roles.database import settings as database
from roles.network import access, address
from roles.postgres import proof as database_proof
from roles.prefect import role as prefect
from roles.prefect import versions
from roles.prefect.account import layout_of
from roles.prefect.layout import UV_CACHE, UV_ROOT, Layout
from roles.prefect.release import Settings as PrefectSettings
from roles.prefect.release import prefect_version, release_of
from roles.prefect.sandbox import has_namespaces
from roles.proof.kinds.flow_run import VerificationRun
from roles.server import door, retention
from roles.server.kinds.health import ServerHealth
from roles.server.settings import Settings

#: Ends of the settings that name a module: messaging, leases and ordering of events may be those of prefect-redis.
PLUGGED = ("_BROKER", "_CACHE", "_ORDERING", "_STORAGE")


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold before anything is changed: the port is ours or free.

    Raises SettingsError for a setting that names an integration which the lock does not have.
    """
    _refuse_missing_integrations(host)
    yield from prefect.expectations(host)
    yield from database_proof.expectations(host, site)
    bind = address.bind(host)
    port = host.settings(address.Settings).port
    address_only = "" if bind in ("0.0.0.0", "::") else bind
    layout = Layout(host.instance)
    yield from door.expectations(layout)
    if takeover.is_declared(host):
        yield takeover.expectation(host, port, address_only)
    else:
        own = (layout.server_unit, host.instance, host.name, address_only)
        yield ServerPlace(port, *own, socket=layout.doorway.socket)
    yield from access.expectations(host, site)


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """User, environment, settings, unit, service; then its health check."""
    layout = layout_of(host)
    restart = Restart(layout.server_unit)
    yield from prefect.server_account(layout)
    yield from prefect.places(layout, layout.home, layout.user, layout.group)
    yield from install(host, layout, restart)
    yield from takeover.around(host, database_proof.resources(host, site, restart))
    env = site.templates.render("prefect_server/server.env.j2", settings=server_settings(host, site))
    yield Step(File(layout.server_env, env, "root", layout.group, 0o640), (restart,))
    yield from door.before_unit(host, site, layout, restart)
    yield Step(SystemdUnit(layout.server_unit, _unit(host, site, layout)), (restart,))
    yield from door.after_unit(host, site, layout)
    yield Service(layout.server_unit)
    yield FLUSH
    yield health(host, site, layout)
    yield from takeover.end(host)
    yield SystemdProbe(layout.server_unit)


def verification(host: SiteHost, site: Site) -> Resource:
    """A flow run from the server's own host, through the hosted API."""
    layout = layout_of(host)
    return VerificationRun(
        f"server {layout.name}",
        python=f"{layout.link}/bin/python",
        api_url=f"{address.local_url(host)}/api",
        auth=access.auth(host, site),
        as_user=layout.user,
        through="environment",
        services=True,
        server_unit=layout.server_unit,
    )


def install(host: SiteHost, layout: Layout, restart: Restart) -> Iterator[Item]:
    """The release's environment, and the link that chooses it."""
    settings = host.settings(PrefectSettings)
    wanted = release_of(host)
    yield Step(prefect.environment(settings, wanted, UV_ROOT, UV_CACHE), (restart,))
    yield Step(ReleaseLink(layout.link, wanted.path), (restart,))


def server_settings(host: SiteHost, site: Site) -> dict[str, str | Secret]:
    """Every Prefect setting that the server gets, by its name in the host's release."""
    layout = layout_of(host)
    settings, version = host.settings(Settings), prefect_version(host)
    values: dict[str, str | Secret] = {
        "home": layout.home,
        "ui_static_directory": layout.ui,
        "server_log_level": settings.server_log_level,
        **address.server_settings(host),
        **database_connection.server_settings(host, site),
        **access.server_settings(host, site),
        **retention.server_settings(host),
    }
    _refuse_managed(host, values)
    driver = database_connection.environment(host, site)
    return {**versions.environment(values, version), **driver, **settings.server_environment}


def _refuse_managed(host: SiteHost, values: Iterable[str]) -> None:
    """Raises SettingsError where server_environment would contradict what firewall, probes and profiles use."""
    keys = (*values, *access.MANAGED, *address.MANAGED, *database_connection.MANAGED)
    managed = {name for key in keys for _, name in versions.NAMES[key]}
    for name in host.settings(Settings).server_environment:
        if name in managed:
            raise SettingsError(
                f"server_environment: {name} is set by encamp itself",
                "use the dedicated setting instead (port, bind, public_url, database, auth, csrf, "
                "cors_allowed_origins, "
                "server_log_level, analytics, retention_runs, retention_events)",
                host.origin("server_environment"),
            )


def _refuse_missing_integrations(host: SiteHost) -> None:
    """Raises SettingsError where a setting names a module, such as prefect_redis.messaging, that is not installed: the
    server would start, and answer 500 to whatever needs it."""
    lock = release_of(host).lock
    for name, value in host.settings(Settings).server_environment.items():
        module = re.match(r"(prefect_\w+)\.", value) if name.endswith(PLUGGED) and isinstance(value, str) else None
        if module and f"\n{module[1].replace('_', '-')}==" not in lock.text:
            raise SettingsError(
                f"{host.name}: server_environment: {name} names {module[1]}, which the server's lock does not have",
                "remove it; or use runtime: compose with an image that has it (prefect_image)",
                host.origin("server_environment"),
            )


def _unit(host: SiteHost, site: Site, layout: Layout) -> Any:
    return site.templates.render(
        "prefect_server/prefect-server.service.j2",
        layout=layout,
        public_url=address.public_url(host),
        command=_service_command(host, layout),
        on_socket=door.is_possible(host),
        namespaces=has_namespaces(host),
        postgres=database.on_this_host(host),
        needs_privilege=address.needs_privilege(host) and not door.is_possible(host),
    )


def _service_command(host: SiteHost, layout: Layout) -> list[str]:
    """What the service runs: the server on systemd's socket, or Prefect's own command where that cannot be."""
    programs = f"{layout.link}/bin"
    return [f"{programs}/python", door.SERVING] if door.is_possible(host) else start_command(host, programs)


def start_command(host: SiteHost, programs: str) -> list[str]:
    """The command line that runs the server; ``programs`` is the directory of its programs, empty: on the PATH."""
    bind, port = address.bind(host), str(host.settings(address.Settings).port)
    level, version = host.settings(Settings).server_log_level.lower(), prefect_version(host)
    program, *words = versions.command("server", version, bind=bind, port=port, log_level=level)
    return [f"{programs}/{program}" if programs else program, *words]


def health(host: SiteHost, site: Site, layout: Layout) -> ServerHealth:
    """That the server is what its settings say, as its users see it."""
    version, port = prefect_version(host), host.settings(address.Settings).port
    return ServerHealth(
        address.local_url(host),
        public_api_url=address.api_url(host),
        unit=layout.server_unit,
        timeout=host.settings(Settings).server_start_timeout,
        expected=versions.resolved({"api_port": str(port), "home": layout.home}, version),
        version=version,
        database=database.scheme(host),
        auth=access.auth(host, site),
        ui=_has_ui(host),
        ready=versions.able("ready", version),
    )


def _has_ui(host: SiteHost) -> bool:
    """Whether the server has its UI: only server_environment switches it off."""
    given = host.settings(Settings).server_environment
    names = [name for _, name in versions.NAMES["ui_enabled"] if name]
    return not any(str(given.get(name, "")).lower() in ("false", "0", "no", "off", "f", "n") for name in names)
