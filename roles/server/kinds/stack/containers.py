"""The containers of a Compose stack that a systemd unit owns."""

from __future__ import annotations

from typing import Mapping, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.docker import api as docker_api
from encamp.resources.system import Reader, System
from encamp.resources.systemd.restart import Restart
from encamp.resources.systemd.unit_state import change_state


@kind
class StackRestart(Restart):
    """Restarts the server of a Compose stack, and of its other containers just those whose declaration has changed.

    ``unit``: the unit that owns the stack. Like Restart, nothing happens when it was started after the change already.
    """

    unit: str

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        restart_server(host, self.unit)


@kind
class StackContainers(Resource):
    """Containers that run, each from the image that its name stands for now.

    ``unit``: the unit that owns their stack; it is restarted to bring them up. ``containers``: the image of each.
    """

    unit: str
    containers: Mapping[str, str]

    def check(self, host: Reader) -> list[Change]:
        changes = []
        for name, image in self.containers.items():
            found = docker_api.inspect(host, "containers", name) or {}
            if not (found.get("State") or {}).get("Running"):
                changes.append(Change(name, "stopped" if found else "absent", "running"))
            elif found.get("Image") != (docker_api.inspect(host, "images", image) or {}).get("Id"):
                changes.append(Change(name, "runs an older image", image))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        restart_server(host, self.unit)


def restart_server(host: System, unit: str) -> None:
    """Restart the unit; its stop, told by a file, then leaves all containers but the server running."""
    host.write(server_only(unit), "")
    change_state(host, "restart", unit)


def server_only(unit: str) -> str:
    """A file that makes the next stop of the unit stop only the server."""
    return f"/run/{unit}.server-only"
