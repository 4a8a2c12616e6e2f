"""Where a server listens, and the address that its clients really use: one place that all else is worked out from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from encamp.errors import SettingsError
from encamp.planning.plan import Item, Step
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import SiteHost
from roles.network.address_checks import check_bind, check_own_url, check_port, is_address, is_loopback, is_private
from roles.network.kinds.exposure import BOTH
from roles.network.kinds.public_address import PublicAddress
from roles.prefect import versions
from roles.prefect.kinds.endpoint import Endpoint
from roles.prefect.release import prefect_version

EVERYWHERE = "0.0.0.0"
LOOPBACK = "127.0.0.1"
HTTPS_PORT = 443
HTTP_PORT = 80
#: The first port that every user may listen on (ip(7)).
PRIVILEGED = 1024
#: What server_environment must not set: the proxy and the probes would not know of it.
MANAGED = ("ui_serve_base", "api_base_path")


@record
class Settings:
    """Address and port of the API and the UI."""

    bind: str = setting(
        EVERYWHERE,
        "Address that the server listens on. With tls, the proxy listens on all addresses and the "
        "server on 127.0.0.1 only.",
        check=check_bind,
    )
    port: int = setting(4200, "TCP port of the API and the UI.", minimum=1, maximum=65535, check=check_port)
    public_url: str = setting(
        "",
        "URL that clients use, without /api: scheme, name, port and optionally a base path. Determines the "
        "UI's API URL, base paths, proxy, firewall port, certificate and profiles. Empty: the host's address in the "
        "inventory, as http://<address>:<port>, or with tls as https://<address>.",
        check=check_own_url,
        example="https://prefect.example.com/flows",
    )
    tls: Literal["off", "internal", "acme", "files"] = setting(
        "off",
        "https through Caddy on the same host. internal: certificates from an authority that encamp "
        "creates for this site. "
        "acme: from Let's Encrypt or your own ACME server. files: tls_certificate and tls_key. off: no https, or "
        "your own proxy in front.",
    )


def public_url(host: SiteHost) -> str:
    """The address that clients use, without a trailing slash or /api.

    Raises SettingsError when none is set and none that clients could use can be worked out, or when the one that is set
    contradicts another setting.
    """
    settings = host.settings(Settings)
    given = normalized(settings.public_url)
    if given:
        _check_given(host, given)
        return given
    if not host.client_address:
        raise SettingsError(
            f"{host.name}: public_url is not set, and {host.inventory.address} is not an address that clients can use",
            "set public_url: http://<name or address of the server>:<port> for this host",
            host.origin("public_url") or host.origin("ansible_host"),
        )
    plain = Endpoint("http", host.client_address, settings.port)
    url = str(plain) if settings.tls == "off" else f"https://{plain.name}"
    _check_family(host, url)
    return url


def public(host: SiteHost) -> Endpoint:
    """:func:`public_url`, taken apart. Raises SettingsError as that does."""
    return Endpoint.of(public_url(host))


def normalized(url: str) -> str:
    """A ``public_url`` without a trailing slash or /api."""
    return url.rstrip("/").removesuffix("/api").rstrip("/")


def api_url(host: SiteHost) -> str:
    """The API's address for clients. Always with /api."""
    return f"{public_url(host)}/api"


def api_url_from(host: SiteHost, server: SiteHost) -> str:
    """The API's address for programs on ``host``. The server's own host does not leave itself: from inside a virtual
    machine or behind NAT its public name often leads nowhere."""
    return f"{local_url(server)}/api" if host.name == server.name else api_url(server)


def base_path(host: SiteHost) -> str:
    """The path below which UI and API are served, such as /flows; empty for none."""
    return public(host).path


def bind(host: SiteHost) -> str:
    """The address that the server itself listens on: loopback behind encamp's proxy, so that clients cannot bypass it.

    Raises SettingsError where the inventory wants it to be reached both ways.
    """
    settings = host.settings(Settings)
    if settings.tls == "off" or is_loopback(settings.bind):
        return settings.bind
    if host.origin("bind"):
        raise SettingsError(
            f"{host.name}: bind: {settings.bind} would allow clients to bypass tls: {settings.tls}",
            "remove bind: (the server then listens on 127.0.0.1, the proxy on all addresses)",
            host.origin("bind"),
        )
    return LOOPBACK


def outside(host: SiteHost) -> tuple[str, int]:
    """Address and port that others reach: the proxy's where encamp puts one in front, else the server's.

    The address is BOTH for the proxy, which listens on all of IPv4 and IPv6.
    """
    settings = host.settings(Settings)
    if settings.tls == "off":
        return settings.bind, settings.port
    return BOTH, public(host).port


def needs_privilege(host: SiteHost) -> bool:
    """Whether the server's port is privileged: listening on it takes root or a capability."""
    return host.settings(Settings).port < PRIVILEGED


def local_url(host: SiteHost) -> str:
    """Where the server is reached from its own host, without /api."""
    return str(local(host))


def local(host: SiteHost) -> Endpoint:
    """:func:`local_url`, taken apart."""
    listens = bind(host)
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listens, listens)
    return Endpoint("http", address, host.settings(Settings).port, base_path(host))


def server_settings(host: SiteHost) -> Mapping[str, str]:
    """Prefect's address settings, by the keys of ``versions.NAMES``. A base path needs three that agree."""
    values = {"api_host": bind(host), "api_port": str(host.settings(Settings).port), "ui_api_url": api_url(host)}
    base_ = base_path(host)
    return {**values, "ui_serve_base": base_, "api_base_path": f"{base_}/api"} if base_ else values


def _check_given(host: SiteHost, url: str) -> None:
    """Raises SettingsError for a public_url that tls or the release cannot serve."""
    settings, given = host.settings(Settings), Endpoint.of(url)
    release = prefect_version(host)
    if settings.tls != "off" and given.scheme != "https":
        fix = f"write public_url: https://{given.name}, or set tls: off"
        raise SettingsError(
            f"{host.name}: public_url is {url}, with tls: {settings.tls}", fix, host.origin("public_url")
        )
    if settings.tls != "off" and given.port == settings.port:
        reason = f"{host.name}: port {settings.port} is used by both the server behind the proxy and public_url"
        raise SettingsError(reason, "remove the port from public_url, or set another port:", host.origin("public_url"))
    if given.path and not all(versions.setting(key, release) for key in ("api_base_path", "ui_serve_base")):
        reason = f"{host.name}: public_url has the path {given.path}, which Prefect {release} does not support"
        fix = f"use {versions.since('api_base_path')} or later, or a public_url with its own name or port"
        raise SettingsError(reason, fix, host.origin("public_url"))
    _check_family(host, url)


def _check_family(host: SiteHost, url: str) -> None:
    """Raises SettingsError for an address of one version of IP where the server itself listens on the other alone."""
    settings, given = host.settings(Settings), Endpoint.of(url)
    name, direct = given.host, (given.scheme, given.port) == ("http", settings.port)
    if settings.tls != "off" or not direct or not is_address(name) or is_loopback(settings.bind):
        return
    if (":" in name) != (":" in settings.bind):
        wildcard = "::" if ":" in name else EVERYWHERE
        reason = f"{host.name}: clients use {name}, but the server listens on {settings.bind}"
        where = host.origin("public_url") or host.origin("bind") or host.origin("ansible_host")
        raise SettingsError(reason, f"set bind: '{wildcard}', or use a host name in public_url", where)


def proposal(host: SiteHost) -> Iterator[Item]:
    """A look at the cloud's metadata where clients get a private address because no public_url is set.

    Only after something has changed: a deploy without changes asks nothing.
    """
    settings = host.settings(Settings)
    if settings.public_url or not host.client_address or not is_private(host.client_address):
        return
    found = Endpoint("http", "ADDRESS", settings.port) if settings.tls == "off" else "https://ADDRESS"
    url = str(found).replace("ADDRESS", "{}")
    yield Step(PublicAddress(host.instance, host.client_address, url, host.name), when_changed=True)


def warnings(host: SiteHost) -> Iterator[str]:
    """What may be a mistake, and may be meant: a plain address at another port than the server's."""
    settings = host.settings(Settings)
    given = Endpoint.of(settings.public_url) if settings.public_url else None
    direct = settings.tls == "off" and not is_loopback(settings.bind)
    if given and direct and given.scheme == "http" and given.port != settings.port:
        yield (
            f"{host.origin('public_url')}: public_url sends clients to port {given.port}, but the server listens on "
            f"{settings.port}: this requires your own proxy or port forwarding in between"
        )
