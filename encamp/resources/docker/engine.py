"""A Docker engine with Compose, installed from the distribution if missing."""

from __future__ import annotations

from typing import Optional, Sequence, Union

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.docker import api as docker_api
from encamp.resources.docker import way_out
from encamp.resources.packages.apt import LOCK_SECONDS
from encamp.resources.packages.installed import Packages
from encamp.resources.proxy import proxy_of
from encamp.resources.system import OsRelease, Reader, System
from encamp.shared.secret import Secret

#: Where Compose v2 is installed: it is a plug-in of the docker command.
PLUGINS = (
    "/usr/libexec/docker/cli-plugins/docker-compose",
    "/usr/lib/docker/cli-plugins/docker-compose",
    "/usr/local/lib/docker/cli-plugins/docker-compose",
    "/usr/local/libexec/docker/cli-plugins/docker-compose",
)
#: The first Debian release whose docker.io does not include the docker command.
SPLIT_SINCE = 13
#: The first Debian release whose Compose reads a file without a version.
COMPOSE_SINCE = 12
OWN_COMPOSE = "/usr/bin/docker-compose"
BY_HAND = "install Docker Engine with the Compose plug-in (https://docs.docker.com/engine/install/), then deploy again"


@kind
class DockerEngine(Resource):
    """A Docker engine that answers, with the docker command and Compose (v2, or v1 if the host has only that).

    ``name``: its name in reports. ``install``: install missing parts from the packages of Debian or Ubuntu (docker.io,
    docker-compose); if false, and on other systems, a host without them is refused. ``lock_timeout``: as of Packages.
    ``proxy``, ``no_proxy``: for apt, and for the images that the installed engine pulls. An existing Docker of any
    origin stays unchanged, but for the proxy that an older version of encamp wrote into its unit.
    """

    name: str
    install: bool = True
    lock_timeout: int = LOCK_SECONDS
    proxy: Union[str, Secret] = ""
    no_proxy: tuple[str, ...] = ()

    def refuse(self, host: Reader) -> None:
        release, compose = host.os_release(), _compose(host)
        if release.id == "debian" and _number(release) < COMPOSE_SINCE and compose in (None, OWN_COMPOSE):
            raise Refused(
                f"{release.pretty} has Docker Compose 1.25, which cannot read the stack (1.27.1 or later can)",
                fix=BY_HAND,
            )

    def check(self, host: Reader) -> list[Change]:
        changes = [Change(what, "absent", "installed") for what in _missing(host)]
        if changes and not self.install:
            absent = " and ".join(change.what for change in changes)
            raise Refused(f"this host has no {absent}, and docker_install is false", fix=BY_HAND)
        if changes and not _packages(host):
            raise Refused(
                f"encamp installs Docker on Debian and Ubuntu, not on {host.os_release().pretty}", fix=BY_HAND
            )
        if not changes and not docker_api.answers(host):
            changes.append(Change("engine", "silent", "answers"))
        if way_out.is_exposed(host):
            changes.append(Change("proxy", "in its unit, where every user can read it", "in a file for root"))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        missing = _missing(host)
        names = [name for what, name in _packages(host) if what in missing]
        proxy = proxy_of(host, self.proxy, self.no_proxy) if self.proxy else None
        if "docker engine" in missing and proxy:
            way_out.lead_out(host, proxy)  # before its first start: nothing of others runs in it yet
        elif way_out.is_exposed(host):
            way_out.conceal(host)
        if names:
            packages = Packages("docker", tuple(names), (), self.lock_timeout, self.proxy, self.no_proxy)
            packages.apply(host, [Change(name) for name in names])
        if not docker_api.answers(host):
            from encamp.resources.systemd.control import change_state

            change_state(host, "start", "docker.service")


def _missing(host: Reader) -> list[str]:
    parts = {"docker": host.which("docker"), "docker engine": host.which("dockerd"), "compose": _compose(host)}
    return [what for what, path in parts.items() if not path]


def _compose(host: Reader) -> Optional[str]:
    for path in PLUGINS:
        if host.stat(path):
            return path
    return host.which("docker-compose")


def _packages(host: Reader) -> Sequence[tuple[str, str]]:
    """The distribution's package for each part; empty if unknown."""
    release = host.os_release()
    if release.family != "debian":
        return ()
    split = release.id == "debian" and _number(release) >= SPLIT_SINCE
    compose = "docker-compose-v2" if release.id == "ubuntu" else "docker-compose"
    return (("docker", "docker-cli" if split else "docker.io"), ("docker engine", "docker.io"), ("compose", compose))


def _number(release: OsRelease) -> float:
    """The release's number; testing, which has none, is newer than all."""
    number = release.version.partition(".")[0]
    return int(number) if number.isdigit() else float("inf")
