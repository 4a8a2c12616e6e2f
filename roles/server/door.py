"""The door of a server: its port belongs to a socket of systemd's, for the server, or for what answers in its place."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.errors import SettingsError
from encamp.planning.plan import Item, Step
from encamp.resources.base import HandlerResource, Resource
from encamp.resources.files.file import File
from encamp.resources.systemd.listening_socket import ListeningSocket
from encamp.resources.systemd.service import Service
from encamp.resources.systemd.unit import SystemdUnit
from encamp.site import Site, SiteHost
from roles.network import address
from roles.prefect import runtime, versions
from roles.prefect.kinds.endpoint import Endpoint
from roles.prefect.layout import Layout
from roles.prefect.release import prefect_version
from roles.prefect.sandbox import has_namespaces
from roles.server.kinds.door.absent import DoorAbsent
from roles.server.kinds.door.expectation import DoorOpen
from roles.server.kinds.door.maintenance import Maintenance, MaintenanceOver

#: The programs of the service and of the door.
SERVING = "/opt/prefect/serving.py"
ANSWERING = "/opt/prefect/door.py"


def is_possible(host: SiteHost) -> bool:
    """Whether the server of the host's instance can be served on a socket of systemd's."""
    return not runtime.is_chosen(host) and versions.able("socket", prefect_version(host))


def expectations(layout: Layout) -> Iterator[Item]:
    """That no maintenance is under way: what a deploy starts and checks would not be there."""
    yield DoorOpen(layout.server_unit)


def before_unit(host: SiteHost, site: Site, layout: Layout, restart: HandlerResource) -> Iterator[Item]:
    """What the server's unit names: the program, and the socket; or neither, and none of earlier releases."""
    if is_possible(host):
        yield Step(File(SERVING, site.templates.read("prefect_server/serving.py")), (restart,))
        yield File(ANSWERING, site.templates.read("prefect_server/door.py"))
        yield SystemdUnit(layout.doorway.socket, _socket(host, site, layout))
    else:
        yield absent(layout)


def absent(layout: Layout) -> Resource:
    """No socket and no door of the instance; the server is stopped with its socket."""
    return DoorAbsent(layout.server_unit)


def after_unit(host: SiteHost, site: Site, layout: Layout) -> Iterator[Item]:
    """The door, which starts at boot only while the server is shut; and the socket at work."""
    if not is_possible(host):
        return
    words = {"layout": layout, "program": ANSWERING, "namespaces": has_namespaces(host)}
    text = site.templates.render("prefect_server/prefect-door.service.j2", **words)
    yield SystemdUnit(layout.doorway.door, text)
    yield Service(layout.doorway.door, running=False)
    where, port = address.bind(host), host.settings(address.Settings).port
    yield ListeningSocket(layout.doorway.socket, where, port, services=(layout.server_unit, layout.doorway.door))


def shut(host: SiteHost, message: str, seconds: int) -> Resource:
    """The door shut, with a ``message`` for people; open again after ``seconds`` (0: never by itself).

    Raises SettingsError where there can be no door.
    """
    layout = _layout(host)
    return Maintenance(
        layout.server_unit,
        url=f"{address.local_url(host)}/api/health",
        message=message,
        seconds=seconds,
    )


def opened(host: SiteHost) -> Resource:
    """The door open, and the server behind it started. Raises SettingsError where there can be no door."""
    return MaintenanceOver(_layout(host).server_unit)


def _layout(host: SiteHost) -> Layout:
    """Names and paths of the instance. Raises SettingsError where there can be no door."""
    if runtime.is_chosen(host):
        raise SettingsError(
            f"{host.name}: runtime: compose has no maintenance: Docker hands no socket of systemd's on to a container",
            f"stop the stack instead, so that clients get errors: {_stop(host)}",
            host.origin("runtime"),
        )
    if not is_possible(host):
        raise SettingsError(
            f"{host.name}: Prefect {prefect_version(host)} has no maintenance: its clients do not wait for a server",
            f"use {versions.since('socket')} or later; or stop the server: {_stop(host)}",
            host.origin("prefect_version"),
        )
    return Layout(host.instance)


def _stop(host: SiteHost) -> str:
    """The command that stops the server of an instance."""
    part = f" --instance {host.instance}" if len(host.instances) > 1 else ""
    return f"`fab -H {host.name} stop --only server{part}`"


def _socket(host: SiteHost, site: Site, layout: Layout) -> str:
    where = address.bind(host)
    listens = Endpoint("http", where, host.settings(address.Settings).port).authority
    text = site.templates.render(
        "prefect_server/prefect-server.socket.j2", layout=layout, listens=listens, ipv6=":" in where
    )
    return str(text)
