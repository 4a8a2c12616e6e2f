"""The server as a Compose stack: the same instance, in containers, with a Postgres of its own."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from encamp import image_archive
from encamp.errors import SettingsError
from encamp.host import locate
from encamp.plan import FLUSH, Item, Step
from encamp.resources.account_numbers import AccountNumbers
from encamp.resources.base import Resource
from encamp.resources.directory import Directory
from encamp.resources.docker_engine import DockerEngine
from encamp.resources.docker_image import DockerImage
from encamp.resources.docker_volume import DockerVolume
from encamp.resources.expectation import Expectation
from encamp.resources.file import File
from encamp.resources.free_port import FreePort
from encamp.resources.group import Group
from encamp.resources.package import Packages
from encamp.resources.service import Service
from encamp.resources.systemd_probe import SystemdProbe
from encamp.resources.systemd_unit import SystemdUnit
from encamp.resources.user import User
from encamp.settings import setting
from encamp.shared.secret import Secret
from encamp.shared.wire import LargeFile
from encamp.site import Site, SiteHost
from encamp.templates import render
from roles import (
    access,
    address,
    base,
    database,
    database_connection,
    database_host,
    database_proof,
    prefect_server,
    versions,
)
from roles.kinds.flow_proof import FlowProof
from roles.kinds.runtime_expectation import MARK, RuntimeExpectation
from roles.kinds.stack_containers import StackContainers, StackRestart
from roles.kinds.stack_database import StackDatabase
from roles.kinds.stack_password import StackPassword
from roles.layout import Layout

DISK_MIB = 3000
#: Debian's release in the tag: with another C library, Postgres would sort otherwise than its indexes were built.
POSTGRES_IMAGE = "postgres:16.10-bookworm"


def _check_image(value: str) -> str | None:
    """What is wrong with an image's name, if anything."""
    if not value:
        return None
    if not re.fullmatch(r"[A-Za-z0-9][\w.:/@-]*", value):
        return "is no name of an image such as registry.example.com/prefect:3.8.8"
    name, at, digest = value.partition("@")
    if at:
        return None if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else "has no digest of the form sha256:..."
    tag = name.rpartition("/")[2].partition(":")[2]
    return "must be pinned: name a tag other than latest, or a digest" if tag in ("", "latest") else None


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the server runs."""

    runtime: Literal["systemd", "compose"] = setting(
        "systemd",
        "systemd: Prefect installed on the host. compose: as containers of Docker, and `database: postgres` beside it.",
    )
    prefect_image: str = setting(
        "",
        "Image of Prefect for runtime: compose, by tag or digest. Empty: prefecthq/prefect of prefect_version.",
        check=_check_image,
        example="registry.example.com/prefect:3.8.8",
    )
    postgres_image: str = setting(
        POSTGRES_IMAGE,
        "Image of Postgres for runtime: compose, by tag or digest. Its major version must stay.",
        check=_check_image,
    )
    image_archive: str = setting(
        "",
        "File on the controller, written by `docker save` (gzip is fine), with images for hosts without a registry. "
        "What it does not hold is pulled, unless the host has it.",
        example="files/prefect-images.tar.gz",
    )
    registry_user: str = setting("", "User for the registry of prefect_image and postgres_image, where it asks.")
    registry_password: Secret | None = setting(
        None, "Its password. Used while an image is pulled; it does not stay on the host.", example="{env: REGISTRY}"
    )
    docker_install: bool = setting(
        True, "Install Docker and Compose from the distribution on a host that has none.", per_host=True
    )


@dataclasses.dataclass(frozen=True)
class Stack:
    """Names and paths of an instance's stack on the host."""

    layout: Layout

    @property
    def project(self) -> str:
        return self.layout.server_unit.removesuffix(".service").replace("-server", "")

    @property
    def server(self) -> str:
        return f"{self.project}-server"

    @property
    def postgres(self) -> str:
        return f"{self.project}-postgres"

    @property
    def home_volume(self) -> str:
        return f"{self.project}-home"

    @property
    def database_volume(self) -> str:
        return f"{self.project}-database"

    @property
    def volumes(self) -> tuple[str, str]:
        """Where all data is."""
        return self.home_volume, self.database_volume

    @property
    def directory(self) -> str:
        return f"{self.layout.config}/compose"

    @property
    def program(self) -> str:
        """Compose, for this stack."""
        return f"{self.directory}/stack"

    @property
    def password(self) -> str:
        """The database's password. It is kept with the data, which an undeploy leaves, not with the settings."""
        return f"{self.layout.home}/postgres-password"

    @property
    def pgpass(self) -> str:
        return f"{self.layout.home}/pgpass"


def is_chosen(host: SiteHost) -> bool:
    """Whether the instance runs as a stack."""
    return host.settings(Settings).runtime == "compose"


def runtime_expectation(host: SiteHost) -> RuntimeExpectation:
    """That the instance is not deployed in the other way already."""
    return RuntimeExpectation(Layout(host.instance).server_unit, host.settings(Settings).runtime)


def images(host: SiteHost) -> dict[str, str]:
    """The image of each container of the stack, the server's first."""
    settings, stack = host.settings(Settings), Stack(Layout(host.instance))
    prefect = settings.prefect_image or versions.image(host.settings(base.Settings).prefect_version)
    return {stack.server: prefect, **({stack.postgres: settings.postgres_image} if _has_postgres(host) else {})}


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold before anything is changed. Raises SettingsError for an archive that cannot be used."""
    layout, where = Layout(host.instance), host.settings(address.Settings)
    stack, bind = Stack(layout), address.bind(host)
    _archive(host)
    yield Expectation(
        "host of Docker",
        families=("debian", "rhel"),
        systemd=True,
        memory=base.MEMORY_MIB,
        disk=(("/var/lib/docker", DISK_MIB),),
        unless="/var/lib/docker",
    )
    if not host.settings(Settings).docker_install:
        yield DockerEngine("docker", install=False)
    yield FreePort(where.port, layout.server_unit, "" if bind in ("0.0.0.0", "::") else bind, container=stack.server)
    yield from access.expectations(host, site)


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """Docker, images, volumes, settings, the unit that owns the stack; then the proof that it is healthy."""
    layout = Layout(host.instance)
    stack, restart = Stack(layout), StackRestart(layout.server_unit)
    yield Packages("base", debian=("ca-certificates",), rhel=("ca-certificates",))
    yield from base.ca_bundle(host.settings(base.Settings), site, host)
    yield DockerEngine("docker", host.settings(Settings).docker_install)
    yield Service("docker.service")
    yield from _images(host, restart)
    yield from _places(stack)
    yield from _data(host, stack)
    for item in _files(host, site, stack):
        yield Step(item, (restart,))
    yield from database_proof.files(host, layout, restart)
    yield Step(SystemdUnit(layout.server_unit, _unit(host, stack)), (restart,))
    yield Service(layout.server_unit)
    yield FLUSH
    yield StackContainers(layout.server_unit, images(host))
    yield dataclasses.replace(prefect_server.health(host, site, layout), container=stack.server)
    yield SystemdProbe(layout.server_unit)


def proof(host: SiteHost, site: Site) -> Resource:
    """A flow run from the server's own container, through the hosted API."""
    layout = Layout(host.instance)
    return FlowProof(
        f"server {layout.name}",
        python="python",
        api_url=f"{address.local_url(host)}/api",
        auth=access.auth(host, site),
        through="environment",
        container=Stack(layout).server,
    )


def _has_postgres(host: SiteHost) -> bool:
    return database.kind(host) == "socket"


# -- images ----------------------------------------------------------------------------------------------------------


def _images(host: SiteHost, restart: StackRestart) -> Iterator[Item]:
    settings, archive = host.settings(Settings), _archive(host)
    for image in images(host).values():
        content: LargeFile | tuple[()] = ()
        ids: tuple[str, ...] = ()
        if archive and image in archive.images:
            content, ids = archive.content, archive.images[image]
        login = bool(settings.registry_user and settings.registry_password)
        resource = DockerImage(
            image,
            content,
            ids,
            registry=_registry(image) if login else "",
            user=settings.registry_user if login else "",
            password=settings.registry_password if login else None,
        )
        yield Step(resource, (restart,))


def _archive(host: SiteHost) -> image_archive.Archive | None:
    """The archive that the site names, if any. Raises SettingsError where it has none of the images."""
    name = host.settings(Settings).image_archive
    if not name:
        return None
    try:
        archive = image_archive.read(Path(locate(name, host.inventory.directory)))
    except SettingsError as error:
        reason = f"{host.name}: image_archive: {error.message}"
        raise SettingsError(reason, error.fix, host.origin("image_archive")) from None
    wanted, held = list(images(host).values()), ", ".join(archive.images)
    if not any(image in archive.images for image in wanted):
        reason = f"{host.name}: image_archive holds none of {', '.join(wanted)}; it has {held or 'no tags'}"
        raise SettingsError(reason, "set prefect_image and postgres_image to its tags", host.origin("image_archive"))
    return archive


def _registry(image: str) -> str:
    """The registry of an image; empty for Docker Hub."""
    first, slash, _ = image.partition("/")
    return first if slash and (set(".:") & set(first) or first == "localhost") else ""


# -- files -----------------------------------------------------------------------------------------------------------


def _places(stack: Stack) -> Iterator[Resource]:
    """Who the server runs as, and the directories of its settings. The home is a volume; on the host, root's."""
    layout = stack.layout
    yield Group(layout.user)
    yield User(layout.user, layout.user, layout.home, comment="Prefect server")
    for path in ("/etc/prefect", layout.config, stack.directory, "/var/lib/prefect"):
        yield Directory(path)
    yield Directory(layout.home, "root", "root", 0o700)


def _data(host: SiteHost, stack: Stack) -> Iterator[Resource]:
    """The volumes, and the database's password."""
    layout = stack.layout
    yield DockerVolume(stack.home_volume, layout.user, layout.user)
    if _has_postgres(host):
        yield StackPassword(stack.password, stack.pgpass, layout.user, layout.user, stack.database_volume)
        yield DockerVolume(stack.database_volume)
        yield StackDatabase(stack.database_volume, images(host)[stack.postgres])


def _files(host: SiteHost, site: Site, stack: Stack) -> Iterator[Resource]:
    layout = stack.layout
    env = render("prefect_server/server.env.j2", settings=prefect_server.server_settings(host, site))
    yield File(layout.server_env, env, "root", layout.user, 0o640)
    yield AccountNumbers(f"{stack.directory}/.env", layout.user)
    yield File(f"{stack.directory}/start.py", render("compose/start.py.j2"))
    names = _names(host, stack)
    yield File(stack.program, render("compose/stack.j2", **names), mode=0o755)
    yield File(
        f"{stack.directory}/compose.yaml",
        render("compose/compose.yaml.j2", **names),
        validate=(stack.program, "check", "{}"),
    )


def _unit(host: SiteHost, stack: Stack) -> Any:
    return render("compose/prefect-server.service.j2", mark=MARK, **_names(host, stack))


def _names(host: SiteHost, stack: Stack) -> dict[str, Any]:
    """What the templates of the stack speak of."""
    layout, version = stack.layout, host.settings(base.Settings).prefect_version
    ready = "ready" if versions.able("ready", version) else "health"
    chosen, tls = images(host), database_connection.tls_files(host)
    return {
        "layout": layout,
        "unit": layout.server_unit,
        "public_url": address.public_url(host),
        "directory": stack.directory,
        "stack": stack.program,
        "project": stack.project,
        "command": ["python", "/run/encamp/start.py", *prefect_server.start_command(host, "")],
        "server_container": stack.server,
        "postgres_container": stack.postgres,
        "prefect_image": chosen[stack.server],
        "postgres_image": chosen.get(stack.postgres, ""),
        "postgres": _has_postgres(host),
        "postgres_port": str(host.settings(database_host.Settings).postgres_port),
        "role": layout.user,
        "database": database.name(host),
        "socket_directory": database_connection.SOCKET_DIRECTORY,
        "home_volume": stack.home_volume,
        "database_volume": stack.database_volume,
        "password_file": stack.password,
        "pgpass_file": stack.pgpass,
        "tls_files": [path for path in (tls.ca, tls.cert, tls.key) if path],
        "health_url": f"{address.local_url(host)}/api/{ready}",
    }
