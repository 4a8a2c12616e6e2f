"""Where a server listens, and the address that its clients really use: one place that all else is worked out from."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from encamp.errors import SettingsError
from encamp.settings import setting
from encamp.shared.record import record
from encamp.site import SiteHost
from roles import base, versions

NOT_AN_ADDRESS = ("0.0.0.0", "::", "*", "")
EVERYWHERE = "0.0.0.0"
#: Where the proxy listens: on every address, of both versions of IP.
BOTH = "*"
LOOPBACK = "127.0.0.1"
HTTPS_PORT = 443
HTTP_PORT = 80
#: The first port that every user may listen on (ip(7)).
PRIVILEGED = 1024
#: What server_environment must not set: the proxy and the probes would not know of it.
MANAGED = ("ui_serve_base", "api_base_path")


def check_public_url(value: Any) -> str | None:
    """What is wrong with a ``public_url``, if anything."""
    if not value:
        return None
    try:
        parts = urlsplit(str(value))
    except ValueError as error:  # a bracket that is never closed, or what is in it is no address
        return str(error)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be an address such as http://prefect.example.com:4200"
    if parts.hostname in NOT_AN_ADDRESS:
        return f"{parts.hostname} is an address to listen on, not one that clients can reach"
    if parts.query or parts.fragment or parts.username is not None:
        return "must be an address alone: no user, no ? and no #"
    return _name_problem(parts) or _port_problem(parts)


def _name_problem(parts: SplitResult) -> str | None:
    """Name and path end up in the configuration of a proxy, in units and in certificates: letters that fit them all."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+", parts.hostname or ""):
        return f"{parts.hostname} is no host name (write one with other letters in its xn-- form)"
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", parts.path):
        return f"its path {parts.path} has more than letters, digits, '.', '_', '~' and '-' between single slashes"
    return None


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


def is_address(name: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def needs_privilege(host: SiteHost) -> bool:
    """Whether only root may listen on the server's port, unless it is let."""
    return host.settings(Settings).port < PRIVILEGED


def _check_port(value: int) -> str | None:
    return "that port is ssh's" if value == 22 else None


def _host_address(value: Any) -> str | None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "must be an IP address to listen on, such as 0.0.0.0"
    return None


@record
class Settings:
    """Address and port of the API and the UI."""

    bind: str = setting(
        EVERYWHERE,
        "Address that the server listens on. With tls the proxy listens everywhere, and the server on 127.0.0.1 alone.",
        check=_host_address,
    )
    port: int = setting(4200, "TCP port of the API and the UI.", minimum=1, maximum=65535, check=_check_port)
    public_url: str = setting(
        "",
        "Address that clients really use, without /api: scheme, name, port and, if you like, a base path. Gives the "
        "UI's API URL, base paths, proxy, firewall port, certificate and profiles. Empty: the host's address in the "
        "inventory, as http://<address>:<port>, or with tls as https://<address>.",
        check=_check_public_url,
        example="https://prefect.example.com/flows",
    )
    tls: Literal["off", "internal", "acme", "files"] = setting(
        "off",
        "https through Caddy on the same host. internal: certificates of an authority that encamp makes for this site. "
        "acme: from Let's Encrypt or an ACME server of your own. files: tls_certificate and tls_key. off: none, or a "
        "proxy of your own in front.",
    )


def public_url(host: SiteHost) -> str:
    """The address that clients use, without a trailing slash or /api.

    Raises SettingsError when none is set and none that clients could use can be worked out, or when the one that is set
    contradicts another setting.
    """
    settings = host.settings(Settings)
    given = tidy(settings.public_url)
    if given:
        _check_given(host, given)
        return given
    if not host.client_address:
        raise SettingsError(
            f"{host.name}: public_url is not set, and {host.inventory.address} is no address that clients can use",
            "set public_url: http://<name or address of the server>:<port> for this host",
            host.origin("public_url") or host.origin("ansible_host"),
        )
    address = host.client_address
    name = f"[{address}]" if ":" in address else address
    url = f"http://{name}:{settings.port}" if settings.tls == "off" else f"https://{name}"
    _check_family(host, url)
    return url


def tidy(url: str) -> str:
    """A ``public_url`` without a trailing slash or /api."""
    return url.rstrip("/").removesuffix("/api").rstrip("/")


def api_url(host: SiteHost) -> str:
    """The API's address for clients. Always with /api."""
    return f"{public_url(host)}/api"


def base_path(host: SiteHost) -> str:
    """The path below which UI and API are served, such as /flows; empty for none."""
    return urlsplit(public_url(host)).path


def bind(host: SiteHost) -> str:
    """The address that the server itself listens on: behind a proxy of ours loopback, so that nobody goes around it.

    Raises SettingsError where the inventory wants it to be reached both ways.
    """
    settings = host.settings(Settings)
    if settings.tls == "off" or _is_loopback(settings.bind):
        return settings.bind
    if host.origin("bind"):
        raise SettingsError(
            f"{host.name}: bind: {settings.bind} would let clients go around tls: {settings.tls}",
            "remove bind: (the server then listens on 127.0.0.1, the proxy everywhere)",
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
    return BOTH, urlsplit(public_url(host)).port or HTTPS_PORT


def local_url(host: SiteHost) -> str:
    """Where the server is reached from its own host, without /api."""
    listens = bind(host)
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listens, listens)
    name = f"[{address}]" if ":" in address else address
    return f"http://{name}:{host.settings(Settings).port}{base_path(host)}"


def server_settings(host: SiteHost) -> Mapping[str, str]:
    """What Prefect is told of its address, by the keys of ``versions.NAMES``. A base path takes three that agree."""
    values = {"api_host": bind(host), "api_port": str(host.settings(Settings).port), "ui_api_url": api_url(host)}
    base_ = base_path(host)
    return {**values, "ui_serve_base": base_, "api_base_path": f"{base_}/api"} if base_ else values


def _check_given(host: SiteHost, url: str) -> None:
    """Raises SettingsError for a public_url that tls or the release cannot serve."""
    settings, parts = host.settings(Settings), urlsplit(url)
    release = host.settings(base.Settings).prefect_version
    if settings.tls != "off" and parts.scheme != "https":
        fix = f"write public_url: https://{parts.hostname}, or set tls: off"
        raise SettingsError(
            f"{host.name}: public_url is {url}, with tls: {settings.tls}", fix, host.origin("public_url")
        )
    if settings.tls != "off" and (parts.port or HTTPS_PORT) == settings.port:
        reason = f"{host.name}: port {settings.port} is the server's own behind the proxy, and public_url's"
        raise SettingsError(reason, "leave the port out of public_url, or set another port:", host.origin("public_url"))
    if parts.path and not all(versions.setting(key, release) for key in ("api_base_path", "ui_serve_base")):
        reason = f"{host.name}: public_url has the path {parts.path}, and Prefect {release} cannot be served below one"
        fix = f"it can since {versions.since('api_base_path')}; or give it a name or a port of its own"
        raise SettingsError(reason, fix, host.origin("public_url"))
    _check_family(host, url)


def _check_family(host: SiteHost, url: str) -> None:
    """Raises SettingsError for an address of one version of IP where the server itself listens on the other alone."""
    settings, parts = host.settings(Settings), urlsplit(url)
    name, direct = parts.hostname or "", (parts.scheme, parts.port) == ("http", settings.port)
    if settings.tls != "off" or not direct or not is_address(name) or _is_loopback(settings.bind):
        return
    if (":" in name) != (":" in settings.bind):
        wildcard = "::" if ":" in name else EVERYWHERE
        reason = f"{host.name}: clients are to use {name}, and the server listens on {settings.bind}"
        where = host.origin("public_url") or host.origin("bind") or host.origin("ansible_host")
        raise SettingsError(reason, f"set bind: '{wildcard}', or a public_url with a name", where)
