"""What is wrong with an address as people write it: a ``public_url``, a port, an address to listen on."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

from roles.network.kinds.exposure import is_public

NOT_AN_ADDRESS = ("0.0.0.0", "::", "*", "")


def check_public_url(value: Any) -> str | None:
    """What is wrong with a ``public_url``, if anything."""
    if not value:
        return None
    try:
        parts = urlsplit(str(value))
    except ValueError as error:  # a bracket that is never closed, or its content is not an address
        return str(error)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be an address such as http://prefect.example.com:4200"
    if parts.hostname in NOT_AN_ADDRESS:
        return f"{parts.hostname} is an address to listen on, not one that clients can reach"
    if parts.query or parts.fragment or parts.username is not None:
        return "must not contain a user, a query (?) or a fragment (#)"
    return _name_problem(parts) or _port_problem(parts)


def _name_problem(parts: SplitResult) -> str | None:
    """Name and path end up in the configuration of a proxy, in units and in certificates: letters that fit them all."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+", parts.hostname or ""):
        return f"{parts.hostname} is not a host name (write international names in their xn-- form)"
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", parts.path):
        return f"its path {parts.path} may contain only letters, digits, '.', '_', '~' and '-' between single slashes"
    return None


def _port_problem(parts: SplitResult) -> str | None:
    try:
        return None if parts.port != 0 else "0 is not a valid port"
    except ValueError:
        return "its port must be a number from 1 to 65535"


def check_own_url(value: Any) -> str | None:
    """What is wrong with the setting ``public_url``: besides, a loopback address is each client's own machine."""
    problem = check_public_url(value)
    if problem or not value:
        return problem
    name = urlsplit(str(value)).hostname or ""
    if name == "localhost" or name.endswith(".localhost") or is_loopback(name):
        return f"{name} refers to each client's own machine, not to this server"
    return None


def is_loopback(name: str) -> bool:
    """Whether it is an address that each machine has for itself."""
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


def is_private(name: str) -> bool:
    """Whether it means something inside a network only: a private address, a name without a domain or of one inside."""
    if is_address(name):
        return not is_public(name)
    return "." not in name or name.endswith((".internal", ".local", ".lan", ".home.arpa"))


def check_port(value: int) -> str | None:
    """What is wrong with the setting ``port``, if anything."""
    return "this is the port of sshd" if value == 22 else None


def check_bind(value: Any) -> str | None:
    """What is wrong with the setting ``bind``, if anything."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "must be an IP address to listen on, such as 0.0.0.0"
    return None
