"""Taking an instance off a host. Its data stays: nothing here drops a database or removes a home."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.planning.plan import Item
from encamp.site import SiteHost
from roles.prefect.layout import Layout
from roles.prefect.runtime import Stack
from roles.registry import ROLES


def resources(host: SiteHost, instance: str) -> Iterator[Item]:
    """What takes ``instance`` off a host, the last stage first; the rest of the host is left as it is."""
    for role in reversed(ROLES):
        yield from role.undeploy(host, instance)


def kept(instance: str) -> str:
    """What remains of an instance, and how to delete it permanently."""
    layout = Layout(instance)
    volumes = " and ".join(Stack(layout).volumes)
    return (
        f"kept: {layout.home}, {layout.worker_home}, the Postgres database {layout.database}, its backups and Docker's "
        f"volumes {volumes}, where they exist. "
        f"To delete them permanently: runuser -u postgres -- dropdb {layout.database}; "
        f"rm -r {layout.home} {layout.worker_home}; docker volume rm {' '.join(Stack(layout).volumes)}"
    )
