"""Where a found server's Postgres runs: in a container of this host, on the host itself, or elsewhere."""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping, Optional
from urllib.parse import parse_qs, urlsplit

from encamp.resources.docker import api as docker
from encamp.resources.system import Reader
from encamp.shared.record import record
from roles.adopt.kinds.found import FoundServer

_LOCAL = ("localhost", "127.0.0.1", "::1", "")
FILE, IN_CONTAINER, ELSEWHERE = "file", "container", "url"


@record
class Postgres:
    """A Postgres in a container: the container's name, and its login and database."""

    container: str
    user: str
    database: str


def place_of(host: Reader, server: FoundServer) -> str:
    """How the database can be continued: a SQLite file, a Postgres in a container, or one that its URL reaches."""
    if server.answer is None:
        return ""
    if server.answer.sqlite:
        return FILE
    return IN_CONTAINER if postgres_container(host, server) else ELSEWHERE


def postgres_container(host: Reader, server: FoundServer) -> Optional[Postgres]:
    """The container with the server's Postgres; None where it runs in none of this host's.

    From inside a container's network it has a name of its own (service, container, alias or host name); from the host,
    the port that it publishes.
    """
    if server.answer is None or server.answer.sqlite or not docker.answers(host):
        return None
    parts = urlsplit(server.answer.database_url.reveal())
    name = parts.hostname or (parse_qs(parts.query).get("host") or [""])[0]
    for container in _running(host):
        inside = bool(server.container)
        named = inside and name in _names(container)
        published = not inside and name in _LOCAL and (parts.port or 5432) in _published(container)
        if named or published:
            title = str(container.get("Name", "")).lstrip("/")
            return Postgres(title, parts.username or "postgres", parts.path.lstrip("/"))
    return None


def _running(host: Reader) -> Iterator[Mapping[str, Any]]:
    status, body = docker.call("GET", "/containers/json")
    for listed in json.loads(body) if status == 200 else ():
        container = docker.inspect(host, "containers", str(listed.get("Id", "")))
        if container:
            yield container


def _names(container: Mapping[str, Any]) -> set[str]:
    networks = ((container.get("NetworkSettings") or {}).get("Networks") or {}).values()
    config = container.get("Config") or {}
    service = (config.get("Labels") or {}).get("com.docker.compose.service", "")
    aliases = [alias for network in networks for alias in network.get("Aliases") or ()]
    addresses = [str(network.get("IPAddress", "")) for network in networks]
    title = str(container.get("Name", "")).lstrip("/")
    return {title, service, str(config.get("Hostname", "")), *aliases, *addresses} - {""}


def _published(container: Mapping[str, Any]) -> set[int]:
    ports = (container.get("NetworkSettings") or {}).get("Ports") or {}
    return {int(each["HostPort"]) for published in ports.values() for each in published or () if each.get("HostPort")}
