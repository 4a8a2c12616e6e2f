"""Where a server listens, and the address that its clients really use: one place that all else is worked out from."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any
from urllib.parse import SplitResult, urlsplit

from encamp.errors import SettingsError
from encamp.settings import setting
from encamp.site import SiteHost

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


@dataclasses.dataclass(frozen=True)
class Settings:
    """Address and port of the API and the UI."""

    bind: str = setting("0.0.0.0", "Address that the server listens on.", check=_host_address)
    port: int = setting(4200, "TCP port of the API and the UI.", minimum=1, maximum=65535, check=_check_port)
    public_url: str = setting(
        "",
        "Address that clients really use, without /api. Gives the UI's API URL, the profiles, and what the recap "
        "prints. Empty: http://<the host's address in the inventory>:<port>.",
        check=_check_public_url,
        example="http://prefect.example.com:4200",
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
