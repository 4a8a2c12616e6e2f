"""The steps of a server's deploy that continue a hand-made one: before the database, and after the health check."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.errors import SettingsError
from encamp.planning.plan import Item
from encamp.resources.base import Resource
from encamp.site import SiteHost
from roles.adopt.kinds.database_place import ELSEWHERE, FILE, IN_CONTAINER
from roles.adopt.kinds.takeover import AdoptionReady, Takeover, TakeoverEnd
from roles.adopt.settings import Settings
from roles.database import host as database_host
from roles.database import settings as database
from roles.network import address
from roles.prefect import runtime
from roles.prefect.account import layout_of
from roles.prefect.release import prefect_version


def is_declared(host: SiteHost) -> bool:
    """Whether the inventory says that the instance continues another server."""
    return bool(host.settings(Settings).adopt)


def check_settings(host: SiteHost) -> None:
    """Raises SettingsError for settings that `adopt:` does not go together with."""
    if not is_declared(host):
        return
    if runtime.is_chosen(host):
        raise SettingsError(
            f"{host.name}: adopt: does not go together with runtime: compose",
            "adopt it as a service of the host (runtime: systemd)",
            host.origin("runtime"),
        )
    if database.kind(host) == "network":
        raise SettingsError(
            f"{host.name}: adopt: does not move data to another host (database_host)",
            "use database: postgres on the server's own host, or database_url:",
            host.origin("database_host"),
        )


def expectation(host: SiteHost, port: int, bind: str) -> Resource:
    """That the server is there, and that its data can be continued. ``bind``: the one address listened on, or empty."""
    layout = layout_of(host)
    name, release = host.settings(Settings).adopt, prefect_version(host)
    return AdoptionReady(name, layout.name, release, _place(host), port, layout.server_unit, bind)


def around(host: SiteHost, items: Iterator[Item]) -> Iterator[Item]:
    """The steps of the database, and the takeover where it belongs.

    A SQLite file is brought before anything would create one; a Postgres is tested while the old server still runs.
    """
    if not is_declared(host):
        yield from items
        return
    first = database.kind(host) == "sqlite"
    if first:
        yield _takeover(host)
    yield from items
    if not first:
        yield _takeover(host)


def end(host: SiteHost) -> Iterator[Item]:
    """That the takeover has succeeded: the server before this step is healthy."""
    if is_declared(host):
        yield TakeoverEnd(host.instance)


def _place(host: SiteHost) -> str:
    return {"sqlite": FILE, "external": ELSEWHERE}.get(database.kind(host), IN_CONTAINER)


def _takeover(host: SiteHost) -> Takeover:
    layout, what = layout_of(host), database.kind(host)
    return Takeover(
        host.settings(Settings).adopt,
        layout.name,
        layout.server_unit,
        host.settings(address.Settings).port,
        file=database.sqlite_file(host) if what == "sqlite" else "",
        database=database.name(host) if what == "socket" else "",
        owner=layout.user,
        cluster=database_host.cluster(host) if what == "socket" else "main",
    )
