"""A named Docker volume, created outside any stack so that removing a stack keeps it."""

from __future__ import annotations

import json
from typing import Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.docker import api as docker_api
from encamp.resources.files.file import attribute_changes
from encamp.resources.system import Reader, System


@kind
class DockerVolume(Resource):
    """A named volume on the host's own disk, with the owner and mode of its top directory.

    Never removed; its contents stay unchanged. Empty ``owner``: owner and mode stay as the container sets them.
    """

    name: str
    owner: str = ""
    group: str = ""
    mode: int = 0o750

    def check(self, host: Reader) -> list[Change]:
        place = mountpoint(host, self.name)
        if not place:
            return [Change("volume", "absent", "present")]
        stat = host.stat(place)
        return attribute_changes(stat, self.owner, self.group, self.mode) if stat and self.owner else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if not mountpoint(host, self.name):
            _create(host, self.name)
        if self.owner:
            host.mkdir(mountpoint(host, self.name), self.owner, self.group, self.mode)


def mountpoint(host: Reader, name: str) -> str:
    """The directory of a volume on the host; empty if there is none, or no engine."""
    if host.stat(docker_api.SOCKET) is None:
        return ""
    return str((docker_api.inspect(host, "volumes", name) or {}).get("Mountpoint", ""))


def _create(host: System, name: str) -> None:
    body = json.dumps({"Name": name, "Labels": {"org.encamp": "keep"}}).encode()
    status, answer = docker_api.call("POST", "/volumes/create", body)
    if status not in (200, 201):
        raise Failure(f"Docker could not create the volume {name}: HTTP {status}", answer.decode("utf-8", "replace"))
    host.wait_for(lambda: bool(mountpoint(host, name)), 5)
