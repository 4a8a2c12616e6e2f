"""Postgres on the server's own host: socket and peer authentication, so that no password exists."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.plan import Item
from encamp.resources.package import Packages
from encamp.resources.postgres_cluster import PostgresCluster
from encamp.resources.postgres_database import PostgresDatabase
from encamp.resources.postgres_extension import PostgresExtension
from encamp.resources.postgres_role import PostgresRole
from encamp.site import Site, SiteHost
from roles import database
from roles.layout import Layout

TRIGRAMS = "pg_trgm"


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """Cluster, role, database and the trigram extension that Prefect's migrations need; nothing for SQLite."""
    if not database.on_this_host(host):
        return
    layout = Layout(host.instance)
    yield Packages("postgres", debian=("postgresql",), rhel=("postgresql-server", "postgresql-contrib"))
    yield PostgresCluster()
    yield PostgresRole(layout.user)
    yield PostgresDatabase(layout.database, owner=layout.user)
    yield PostgresExtension(TRIGRAMS, layout.database)
