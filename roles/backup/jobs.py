"""Which databases are backed up, on which host, under which name."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.errors import SettingsError
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.backup.settings import Backup, Settings
from roles.database import connection as database_connection
from roles.database import host as database_host
from roles.database import settings as database
from roles.prefect import runtime
from roles.prefect.account import layout_of
from roles.prefect.groups import SERVERS, is_server
from roles.prefect.layout import Layout

#: Of the units and the configuration of the instance ``default``.
USUAL = "prefect"


@record
class Job:
    """The backups of one database. ``server``: the instance that uses it; ``host``: where the database is.

    ``kind``: socket, network or sqlite. ``name``: unique on its host.
    """

    name: str
    kind: database.Kind
    server: SiteHost
    host: SiteHost
    settings: Backup

    @property
    def layout(self) -> Layout:
        """Names and paths of the server."""
        return layout_of(self.server)

    @property
    def local(self) -> bool:
        """Whether the server is on the database's host."""
        return self.kind != "network"

    @property
    def config(self) -> str:
        """The program's configuration on the database's host."""
        return config(self.name)

    @property
    def folder(self) -> str:
        """Where its backups are."""
        return f"{self.settings.directory}/{self.name}"

    @property
    def python(self) -> str:
        """The interpreter of the program: the release's own for SQLite, which wrote the file."""
        return f"{self.layout.link}/bin/python" if self.kind == "sqlite" else "/usr/bin/python3"

    def unit(self, what: str, ending: str = "service") -> str:
        """The unit that takes (``backup``) or rehearses (``rehearsal``) backups."""
        return unit(self.name, what, ending)


def unit(name: str, what: str, ending: str) -> str:
    """A unit of the job ``name``: ``what`` is backup or rehearsal, ``ending`` service or timer."""
    return f"prefect-{what}{'' if name == USUAL else f'-{name}'}.{ending}"


def config(name: str) -> str:
    """The configuration of the job ``name``, on the database's host."""
    return f"/etc/prefect/backup-{name}.conf"


def key_path(name: str) -> str:
    """The SSH key with which the job ``name`` sends copies."""
    return f"/etc/prefect/backup-{name}.key"


def known_path(name: str) -> str:
    """The host keys of where it sends them."""
    return f"/etc/prefect/backup-{name}.known_hosts"


def sqlite_name(layout: Layout) -> str:
    """The job of an instance's SQLite file. No instance is called so: their names have no dots."""
    return f"{layout.own_name}.sqlite"


def names_of(host: SiteHost, instance: str) -> list[str]:
    """The jobs that an instance may have on its own host; the inventory need not list it any more."""
    layout = Layout(instance)
    own = {database.name(view) for view in host.instances if view.instance == instance}
    return sorted({layout.database, sqlite_name(layout), *own})


def job_of(view: SiteHost, site: Site) -> Job:
    """The backups of a server's database. Raises SettingsError for a database that encamp cannot back up."""
    kind, where = database.kind(view), view.origin("backup")
    if runtime.is_chosen(view):
        raise SettingsError(
            f"{view.name}: a server in containers (runtime: compose) cannot be backed up by encamp",
            f"dump it yourself: docker exec {runtime.Stack(Layout(view.instance)).postgres} pg_dump -U NAME -Fc NAME",
            where,
        )
    if kind == "external":
        raise SettingsError(
            f"{view.name}: encamp does not manage the Postgres of database_url, and does not back it up",
            "let its provider take backups",
            where or view.origin("database_url"),
        )
    settings = view.settings(Settings).backup
    if kind == "sqlite":
        return Job(sqlite_name(layout_of(view)), kind, view, view, settings)
    found = database_connection.database_host_of(view, site)
    return Job(database.name(view), kind, view, found, settings)


def on_host(host: SiteHost, site: Site) -> list[Job]:
    """The jobs of all databases on a host, one for each. Those with wrong settings are left to their own deploy."""
    found: dict[str, Job] = {}
    for view in _servers(host, site):
        try:
            job = job_of(view, site)
        except SettingsError:
            continue
        if job.host.name == host.name:
            found.setdefault(job.name, job)
    return list(found.values())


def is_declared(host: SiteHost) -> bool:
    """Whether the inventory asks for backups of an instance by a timer."""
    return host.settings(Settings).backup.every != "never"


def _servers(host: SiteHost, site: Site) -> Iterator[SiteHost]:
    """Every server that may keep its data on a host."""
    yield from filter(is_server, host.instances)
    if database_host.is_declared(host):
        for other in site.in_group(SERVERS):
            if other.name != host.name:
                yield from other.instances
