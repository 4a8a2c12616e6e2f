"""What a worker needs of its host beside Prefect: packages, an account, paths, devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from encamp.planning.plan import Item
from encamp.resources.files.directory import Directory
from encamp.site import SiteHost
from roles.prefect import role as prefect
from roles.prefect.layout import Layout
from roles.prefect.release import system_packages
from roles.worker import sandbox
from roles.worker.kinds.host_paths import HostParts, PathAccess
from roles.worker.units import Unit


def has_account(found: Sequence[Unit]) -> bool:
    """Whether the account that encamp makes for workers is needed."""
    return not found or any(not unit.spec.user for unit in found)


def resources(host: SiteHost, layout: Layout, found: Sequence[Unit]) -> Iterator[Item]:
    """Packages of the distribution; then what must be there; then accounts and homes."""
    yield from _packages(host, found)
    for unit in found:
        yield from _parts(unit)
    if has_account(found):
        yield from prefect.worker_account(layout)
        yield from prefect.places(layout, layout.worker_home, layout.worker_user, layout.worker_user)
    else:
        yield from prefect.folders(layout)
    for unit in found:
        if unit.spec.user:
            yield Directory(unit.home, unit.user, "", 0o700)


def _packages(host: SiteHost, found: Sequence[Unit]) -> Iterator[Item]:
    """One set for all workers. Debian's git comes without an SSH client."""
    wanted = {name for unit in found for name in unit.spec.system_packages}
    ssh = any(unit.spec.uses_ssh for unit in found)
    if wanted or ssh:
        debian, rhel = (wanted | ({name} if ssh else set()) for name in ("openssh-client", "openssh-clients"))
        yield system_packages(host, "workers", sorted(debian), sorted(rhel))


def _parts(unit: Unit) -> Iterator[Item]:
    """What the unit names and encamp does not make."""
    spec = unit.spec
    paths, devices = sandbox.opened(spec).all, tuple(name for name in spec.devices if name.startswith("/"))
    if spec.user or spec.groups or paths or devices:
        yield HostParts(unit.name, spec.user, spec.groups, paths, devices)


def access(unit: Unit) -> Iterator[Item]:
    """The proof that the running unit can use what is opened."""
    paths = sandbox.opened(unit.spec)
    if paths.all:
        yield PathAccess(unit.name, paths.writable, paths.readable)


def homes(unit: Unit) -> tuple[str, ...]:
    """What a unit may write by itself."""
    return (unit.home, unit.environment_path) if unit.spec.pip else (unit.home,)
