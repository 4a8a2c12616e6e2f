"""The containers of a Compose stack, gone; its volumes stay."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.docker import api as docker_api
from encamp.resources.system import Reader, System


@kind
class StackAbsent(Resource):
    """No container of a Compose stack. Its volumes, and with them all data, stay.

    ``program``: Compose for this stack, as encamp wrote it; without it there is nothing to remove.
    ``containers``: their names.
    """

    program: str
    containers: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        if host.stat(self.program) is None or host.stat(docker_api.SOCKET) is None:
            return []
        left = (name for name in self.containers if docker_api.inspect(host, "containers", name))
        return [Change(name, "present", "absent") for name in left]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.run([self.program, "down"])
