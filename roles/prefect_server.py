"""The Prefect server: an unprivileged, hardened service that is healthy before the deploy says so."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from encamp.errors import SettingsError
from encamp.plan import FLUSH, Item, Step
from encamp.resources.base import Resource
from encamp.resources.file import File
from encamp.resources.free_port import FreePort
from encamp.resources.release_link import ReleaseLink
from encamp.resources.restart import Restart
from encamp.resources.service import Service
from encamp.resources.systemd_probe import SystemdProbe
from encamp.resources.systemd_unit import SystemdUnit
from encamp.settings import setting
from encamp.site import Site, SiteHost
from encamp.templates import render
from roles import base, versions
from roles.kinds.flow_proof import FlowProof
from roles.kinds.server_health import ServerHealth
from roles.layout import UV_CACHE, UV_ROOT, Layout

GROUP = "servers"
#: Where Debian's and RHEL's Postgres listen without a network.
SOCKET_DIRECTORY = "/var/run/postgresql"
NOT_AN_ADDRESS = ("0.0.0.0", "::", "*", "")


def check_public_url(value: Any) -> str | None:
    """What is wrong with a ``public_url``, if anything."""
    if not value:
        return None
    parts = urlsplit(str(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be an address such as http://prefect.example.com:4200"
    if parts.hostname in NOT_AN_ADDRESS:
        return f"{parts.hostname} is an address to listen on, not one that clients can reach"
    if parts.query or parts.fragment or parts.username is not None:
        return "must be an address alone: no user, no ? and no #"
    return _port_problem(parts)


def _port_problem(parts: SplitResult) -> str | None:
    try:
        return None if parts.port != 0 else "0 is no port"
    except ValueError:
        return "its port must be a number from 1 to 65535"


def _check_public_url(value: Any) -> str | None:
    """What is wrong with the setting ``public_url``: besides, a loopback address is each client's own machine."""
    problem = check_public_url(value)
    if problem or not value:
        return problem
    name = urlsplit(str(value)).hostname or ""
    if name == "localhost" or name.endswith(".localhost") or _is_loopback(name):
        return f"{name} is every client's own machine, not this server"
    return None


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _check_port(value: int) -> str | None:
    return "that port is ssh's" if value == 22 else None


def _host_address(value: Any) -> str | None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "must be an IP address to listen on, such as 0.0.0.0"
    return None


def _prefect_names(value: Any) -> str | None:
    wrong = [name for name in value if not name.startswith("PREFECT_")]
    return f"{wrong[0]} is no PREFECT_* setting" if wrong else None


@dataclasses.dataclass(frozen=True)
class Settings:
    """The API, its UI and its database."""

    bind: str = setting("0.0.0.0", "Address that the server listens on.", check=_host_address)
    port: int = setting(4200, "TCP port of the API and the UI.", minimum=1, maximum=65535, check=_check_port)
    public_url: str = setting(
        "",
        "Address that clients really use, without /api. Gives the UI's API URL, the profiles, and what the recap "
        "prints. Empty: http://<the host's address in the inventory>:<port>.",
        check=_check_public_url,
        example="http://prefect.example.com:4200",
    )
    database: Literal["postgres", "sqlite"] = setting(
        "postgres", "postgres: on the same host, over its socket, without a password. sqlite: a file, for small loads."
    )
    server_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting("WARNING", "Log level of the server.")
    analytics: bool = setting(False, "Whether the server may send usage telemetry to Prefect.")
    server_environment: dict[str, str] = setting(
        {},
        "Further PREFECT_* settings for the server's environment file.",
        check=_prefect_names,
        example="{PREFECT_SERVER_EVENTS_RETENTION_PERIOD: P30D}",
    )


def public_url(host: SiteHost) -> str:
    """The address that clients use, without a trailing slash or /api.

    Raises SettingsError when none is set and none that clients could use can be worked out.
    """
    settings = host.settings(Settings)
    given = settings.public_url.rstrip("/").removesuffix("/api")
    if given:
        return given
    if not host.client_address:
        raise SettingsError(
            f"{host.name}: public_url is not set, and {host.inventory.address} is no address that clients can use",
            "set public_url: http://<name or address of the server>:<port> for this host",
            host.origin("public_url") or host.origin("ansible_host"),
        )
    address = host.client_address
    return f"http://{f'[{address}]' if ':' in address else address}:{settings.port}"


def api_url(host: SiteHost) -> str:
    """The API's address for clients. Always with /api."""
    return f"{public_url(host)}/api"


def local_url(host: SiteHost) -> str:
    """Where the server is reached from its own host, without /api."""
    settings = host.settings(Settings)
    address = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.bind, settings.bind)
    return f"http://{address}:{settings.port}"


def expectations(host: SiteHost) -> Iterator[Item]:
    """What must hold before anything is changed: the port is ours or free."""
    yield from base.expectations(host)
    settings = host.settings(Settings)
    anywhere = settings.bind in ("0.0.0.0", "::")
    yield FreePort(settings.port, Layout().server_unit, "" if anywhere else settings.bind)


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """User, environment, settings, unit, service; then the proof that it is healthy."""
    layout = Layout()
    restart = Restart(layout.server_unit)
    yield from base.account(layout, layout.user, layout.home, "Prefect server")
    yield from install(host, layout, restart)
    yield Step(File(layout.server_env, _environment_file(host, layout), "root", layout.user, 0o640), (restart,))
    yield Step(SystemdUnit(layout.server_unit, _unit(host, layout)), (restart,))
    yield Service(layout.server_unit)
    yield FLUSH
    yield _health(host, layout)
    yield SystemdProbe(layout.server_unit)


def proof(host: SiteHost) -> Resource:
    """A flow run from the server's own host, through the hosted API."""
    layout = Layout()
    return FlowProof(
        f"server {layout.name}",
        python=f"{layout.link}/bin/python",
        api_url=f"{local_url(host)}/api",
        as_user=layout.user,
        through="environment",
    )


def install(host: SiteHost, layout: Layout, restart: Restart) -> Iterator[Item]:
    """The release's environment, and the link that chooses it."""
    settings = host.settings(base.Settings)
    wanted = base.release(settings)
    yield Step(base.environment(settings, wanted, UV_ROOT, UV_CACHE), (restart,))
    yield Step(ReleaseLink(layout.link, wanted.path), (restart,))


def database_url(settings: Settings, layout: Layout) -> str:
    """The connection URL: over the socket as the service's own user, or a file in its home."""
    if settings.database == "sqlite":
        return f"sqlite+aiosqlite:///{layout.home}/prefect.db"
    return f"postgresql+asyncpg://{layout.user}@/{layout.database}?host={SOCKET_DIRECTORY}"


def server_settings(host: SiteHost, layout: Layout) -> dict[str, str]:
    """Every Prefect setting that the server gets, by its name in the host's release."""
    settings, version = host.settings(Settings), host.settings(base.Settings).prefect_version
    values = {
        "home": layout.home,
        "database_url": database_url(settings, layout),
        "api_host": settings.bind,
        "api_port": str(settings.port),
        "ui_api_url": api_url(host),
        "ui_static_directory": layout.ui,
        "analytics": str(settings.analytics).lower(),
        "server_log_level": settings.server_log_level,
    }
    _refuse_managed(host, values)
    return {**versions.environment(values, version), **settings.server_environment}


def _refuse_managed(host: SiteHost, values: Iterable[str]) -> None:
    """Raises SettingsError where server_environment would contradict what firewall, probes and profiles use."""
    managed = {name for key in values for _, name in versions.NAMES[key]}
    for name in host.settings(Settings).server_environment:
        if name in managed:
            raise SettingsError(
                f"server_environment: {name} is set by encamp itself",
                "use the setting of its own (port, bind, public_url, database, server_log_level, analytics)",
                host.origin("server_environment"),
            )


def _environment_file(host: SiteHost, layout: Layout) -> Any:
    return render("prefect_server/server.env.j2", settings=server_settings(host, layout))


def _unit(host: SiteHost, layout: Layout) -> Any:
    settings = host.settings(Settings)
    program, *words = versions.server_command(host.settings(base.Settings).prefect_version)
    return render(
        "prefect_server/prefect-server.service.j2",
        layout=layout,
        public_url=public_url(host),
        command=[f"{layout.link}/bin/{program}", *words, "--host", settings.bind, "--port", str(settings.port)],
        postgres=settings.database == "postgres",
    )


def _health(host: SiteHost, layout: Layout) -> ServerHealth:
    settings = host.settings(Settings)
    scheme = database_url(settings, layout).partition(":")[0]
    return ServerHealth(
        local_url(host),
        public_api_url=api_url(host),
        unit=layout.server_unit,
        expected={"server.api.port": str(settings.port), "home": layout.home},
        version=host.settings(base.Settings).prefect_version,
        database=scheme,
    )
