"""Where an instance keeps its data, and the connection URL that says so to Prefect."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from encamp.settings import setting
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.layout import Layout

#: Where Debian's and RHEL's Postgres listen without a network.
SOCKET_DIRECTORY = "/var/run/postgresql"


@dataclasses.dataclass(frozen=True)
class Settings:
    """The database."""

    database: Literal["postgres", "sqlite"] = setting(
        "postgres", "postgres: on the same host, over its socket, without a password. sqlite: a file, for small loads."
    )


def server_settings(host: SiteHost, site: Site) -> Mapping[str, str | Secret]:
    """What Prefect is told of its database, by the keys of ``versions.NAMES``."""
    return {"database_url": url(host, site)}


def url(host: SiteHost, site: Site) -> str | Secret:
    """The connection URL: over the socket as the service's own user, or a file in its home."""
    layout = Layout(host.instance)
    if host.settings(Settings).database == "sqlite":
        return f"sqlite+aiosqlite:///{layout.home}/prefect.db"
    return f"postgresql+asyncpg://{layout.user}@/{layout.database}?host={SOCKET_DIRECTORY}"


def scheme(host: SiteHost) -> str:
    """The scheme of the connection URL: what a healthy server must be seen to use."""
    return "sqlite+aiosqlite" if host.settings(Settings).database == "sqlite" else "postgresql+asyncpg"


def on_this_host(host: SiteHost) -> bool:
    """Whether the database is a Postgres on the server's own host."""
    return host.settings(Settings).database == "postgres"
