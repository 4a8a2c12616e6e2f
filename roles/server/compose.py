"""The server as a Compose stack: the same instance, in containers, with a Postgres of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from encamp.errors import SettingsError
from encamp.planning.plan import FLUSH, Item, Step
from encamp.resources.accounts.numbers import AccountNumbers
from encamp.resources.base import Resource
from encamp.resources.docker.engine import DockerEngine
from encamp.resources.docker.volume import DockerVolume
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File
from encamp.resources.probes.expectation import Expectation
from encamp.resources.systemd.probe import SystemdProbe
from encamp.resources.systemd.service import Service
from encamp.resources.systemd.unit import SystemdUnit
from encamp.site import Site, SiteHost
from roles.adopt.kinds.server_place import ServerPlace
from roles.database import connection as database_connection
from roles.database import host as database_host
from roles.database import settings as database
from roles.database.settings import has_postgres
from roles.network import access, address
from roles.postgres import connection_budget
from roles.postgres import proof as database_proof
from roles.prefect import role as prefect
from roles.prefect import versions
from roles.prefect.account import layout_of
from roles.prefect.kinds.container import START
from roles.prefect.kinds.runtime_expectation import MARK, RuntimeExpectation
from roles.prefect.layout import Layout
from roles.prefect.release import Settings as PrefectSettings
from roles.prefect.release import prefect_version, system_packages
from roles.prefect.runtime import Settings, Stack
from roles.prefect.sandbox import has_namespaces
from roles.proof.kinds.flow_run import VerificationRun
from roles.server import compose_images, native
from roles.server.compose_images import images
from roles.server.kinds.stack.containers import StackContainers, StackRestart
from roles.server.kinds.stack.database import StackDatabase
from roles.server.kinds.stack.password import StackPassword

DISK_MIB = 3000


def runtime_expectation(host: SiteHost) -> RuntimeExpectation:
    """That the instance is not deployed in the other way already."""
    return RuntimeExpectation(Layout(host.instance).server_unit, host.settings(Settings).runtime)


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold before anything is changed.

    Raises SettingsError for an archive that cannot be used, and a database that cannot do for all that use it.
    """
    layout, where = Layout(host.instance), host.settings(address.Settings)
    stack, bind = Stack(layout), address.bind(host)
    compose_images.archive(host)
    _refuse_what_no_container_has(host, site)
    connection_budget.check_shared(host, site)
    connection_budget.check(host, site)
    yield Expectation(
        "host of Docker",
        families=("debian", "rhel"),
        systemd=True,
        memory=prefect.MEMORY_MIB,
        disk=(("/var/lib/docker", DISK_MIB),),
        unless=("/var/lib/docker",),
    )
    if not host.settings(Settings).docker_install:
        yield DockerEngine("docker", install=False)
    address_only = "" if bind in ("0.0.0.0", "::") else bind
    yield ServerPlace(where.port, layout.server_unit, host.instance, host.name, address_only, stack.server)
    yield from access.expectations(host, site)


def _refuse_what_no_container_has(host: SiteHost, site: Site) -> None:
    """Raises SettingsError for what a server on the host itself could use, and one in a container cannot."""
    if has_postgres(host) and host.settings(database.Settings).database_host:
        reason = f"{host.name}: database_host is this host, whose Postgres is not reachable from containers"
        fix = "remove database_host: (the stack then has its own Postgres), or use another host"
        raise SettingsError(reason, fix, host.origin("database_host"))
    if database.kind(host) == "external" and database_connection.connection(host, site).host.startswith("/"):
        reason = f"{host.name}: database_url is a socket on the host, which containers cannot see"
        raise SettingsError(reason, "use the database's name or address and its port", host.origin("database_url"))
    if address.needs_privilege(host):
        port = host.settings(address.Settings).port
        reason = f"{host.name}: port {port} is privileged (below {address.PRIVILEGED}), and the container is not root"
        raise SettingsError(reason, "set another port:; tls: puts a proxy on 443 in front", host.origin("port"))


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """Docker, images, volumes, settings, the unit that owns the stack; then its health check."""
    layout = layout_of(host)
    stack, restart = Stack(layout), StackRestart(layout.server_unit)
    yield system_packages(host, "base", ("ca-certificates",), ("ca-certificates",))
    yield from prefect.ca_bundle(host.settings(PrefectSettings), site, host)
    ours = host.settings(PrefectSettings)
    install = host.settings(Settings).docker_install
    yield DockerEngine("docker", install, ours.apt_lock_timeout, ours.proxy, ours.no_proxy)
    yield Service("docker.service")
    yield from compose_images.resources(host, restart)
    yield from _places(stack)
    yield from _data(host, stack)
    for item in _files(host, site, stack):
        yield Step(item, (restart,))
    yield from database_proof.files(host, layout, restart)
    yield Step(SystemdUnit(layout.server_unit, _unit(host, site, stack)), (restart,))
    yield Service(layout.server_unit)
    yield FLUSH
    yield StackContainers(layout.server_unit, images(host), stack.project, stack.directory)
    yield dataclasses.replace(native.health(host, site, layout), container=stack.server)
    yield SystemdProbe(layout.server_unit)


def verification(host: SiteHost, site: Site) -> Resource:
    """A flow run from the server's own container, through the hosted API."""
    layout = layout_of(host)
    return VerificationRun(
        f"server {layout.name}",
        python="python",
        api_url=f"{address.local_url(host)}/api",
        auth=access.auth(host, site),
        through="environment",
        container=Stack(layout).server,
        services=True,
        server_unit=layout.server_unit,
    )


# -- files -----------------------------------------------------------------------------------------------------------


def _places(stack: Stack) -> Iterator[Resource]:
    """Who the server runs as, and the directories of its settings. The home is a volume; on the host, root's."""
    layout = stack.layout
    yield from prefect.server_account(layout)
    for path in ("/etc/prefect", "/var/lib/prefect"):
        yield Directory(path, shared=True)
    for path in (layout.config, stack.directory):
        yield Directory(path)
    yield Directory(layout.home, "root", "root", 0o700)


def _data(host: SiteHost, stack: Stack) -> Iterator[Resource]:
    """The volumes, and the database's password."""
    layout = stack.layout
    yield DockerVolume(stack.home_volume, layout.user, layout.group)
    if has_postgres(host):
        yield StackPassword(stack.password, stack.pgpass, layout.own_name, layout.user, stack.database_volume)
        yield DockerVolume(stack.database_volume)
        yield StackDatabase(stack.database_volume, images(host)[stack.postgres])


def _files(host: SiteHost, site: Site, stack: Stack) -> Iterator[Resource]:
    layout = stack.layout
    env = site.templates.render("prefect_server/server.env.j2", settings=native.server_settings(host, site))
    yield File(layout.server_env, env, "root", layout.group, 0o640)
    yield AccountNumbers(f"{stack.directory}/.env", layout.user)
    yield File(f"{stack.directory}/start.py", site.templates.render("compose/start.py.j2"))
    names = _names(host, stack)
    yield File(stack.program, site.templates.render("compose/stack.j2", **names), mode=0o755)
    yield File(
        f"{stack.directory}/compose.yaml",
        site.templates.render("compose/compose.yaml.j2", **names),
        validate=(stack.program, "check", "{}"),
    )


def _unit(host: SiteHost, site: Site, stack: Stack) -> Any:
    return site.templates.render("compose/prefect-server.service.j2", mark=MARK, **_names(host, stack))


def _names(host: SiteHost, stack: Stack) -> dict[str, Any]:
    """What the templates of the stack speak of."""
    layout, version = stack.layout, prefect_version(host)
    ready = "ready" if versions.able("ready", version) else "health"
    chosen, tls = images(host), database_connection.tls_files(host)
    return {
        "layout": layout,
        "unit": layout.server_unit,
        "namespaces": has_namespaces(host),
        "public_url": address.public_url(host),
        "directory": stack.directory,
        "stack": stack.program,
        "start": START,
        "project": stack.project,
        "command": ["python", START, *native.start_command(host, "")],
        "server_container": stack.server,
        "postgres_container": stack.postgres,
        "prefect_image": chosen[stack.server],
        "postgres_image": chosen.get(stack.postgres, ""),
        "postgres": has_postgres(host),
        "postgres_port": str(host.settings(database_host.Settings).postgres_port),
        "role": layout.own_name,
        "database": database.name(host),
        "socket_directory": database_connection.SOCKET_DIRECTORY,
        "home_volume": stack.home_volume,
        "database_volume": stack.database_volume,
        "password_file": stack.password,
        "pgpass_file": stack.pgpass,
        "tls_files": [path for path in (tls.ca, tls.cert, tls.key) if path],
        "health_url": f"{address.local_url(host)}/api/{ready}",
    }
