"""What an instance's database needs on the server's host, and the check that it is usable, before the start."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.planning.plan import Item, Step
from encamp.resources.files.file import File
from encamp.resources.systemd.restart import Restart
from encamp.site import Site, SiteHost
from roles.database import connection as database_connection
from roles.database import settings as database
from roles.database.kinds.probe import DatabaseProbe
from roles.database.kinds.sqlite import SqliteDatabase
from roles.postgres import connection_budget
from roles.postgres import role as postgres
from roles.prefect.account import layout_of
from roles.prefect.files import read_bundle
from roles.prefect.layout import Layout

#: The least Postgres that several servers may share, as Postgres counts versions: 14.9 (Prefect's documentation).
SHARED_SINCE = 140009
ONE_WRITER = (
    "SQLite allows one writer at a time: with several workers or many concurrent flow runs, calls "
    "fail with 'database is "
    "locked'. `database: postgres` has no such limit"
)


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold before anything is changed.

    Raises SettingsError where the inventory shows that the database cannot serve all its users.
    """
    connection_budget.check_shared(host, site)
    connection_budget.check(host, site)
    if database.kind(host) == "socket":
        yield postgres.expectation(host, site)


def resources(host: SiteHost, site: Site, restart: Restart) -> Iterator[Item]:
    """The files for TLS, and the check; for SQLite the file itself. Prefect must be installed before."""
    layout = layout_of(host)
    if database.kind(host) == "sqlite":
        python = f"{layout.link}/bin/python"
        yield SqliteDatabase(database.sqlite_file(host), layout.user, layout.group, python, ONE_WRITER)
        return
    yield from files(host, layout, restart)
    yield _probe(host, site, layout)


def _probe(host: SiteHost, site: Site, layout: Layout) -> DatabaseProbe:
    found, files = database_connection.connection(host, site), database_connection.tls_files(host)
    what = database.kind(host)
    return DatabaseProbe(
        layout.name,
        found.url(),
        dsn=found.dsn(),
        host=found.host,
        port=found.port,
        python=f"{layout.link}/bin/python",
        as_user=layout.user,
        user=found.user,
        database=found.database,
        database_host="" if what == "external" else database_connection.database_host_of(host, site).name,
        tls=database_connection.tls(host, site),
        ca_file=files.ca,
        cert_file=files.cert,
        key_file=files.key,
        check_hostname=host.settings(database.Settings).database_tls_check_hostname,
        connections=connection_budget.total(connection_budget.demands(host, site)),
        version=SHARED_SINCE if connection_budget.is_shared(host, site) else 0,
        unit=layout.server_unit,
        environment=layout.server_env,
    )


def files(host: SiteHost, layout: Layout, restart: Restart) -> Iterator[Item]:
    """The CA, and the instance's own certificate and key, where the site names them."""
    settings, paths = host.settings(database.Settings), database_connection.tls_files(host)
    if paths.ca:
        yield Step(File(paths.ca, read_bundle("database_ca_file", settings.database_ca_file, host)), (restart,))
    if paths.cert and settings.database_key is not None:
        yield Step(File(paths.cert, read_bundle("database_cert_file", settings.database_cert_file, host)), (restart,))
        yield Step(File(paths.key, settings.database_key, "root", layout.group, 0o640), (restart,))
