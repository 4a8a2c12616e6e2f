"""The containers of a Compose stack that a systemd unit owns."""

from __future__ import annotations

import json
from typing import Mapping, Sequence
from urllib.parse import quote

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.docker import api as docker_api
from encamp.resources.system import Reader, System
from encamp.resources.systemd.restart import Restart

#: What Compose labels its containers with: the project; and in .working_dir, where its file is.
LABEL = "com.docker.compose.project"


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
    ``project``: the stack's name, ``directory``: where its file is. Containers of that project, or of these names, from
    another place are refused: Compose would remove them.
    """

    unit: str
    containers: Mapping[str, str]
    project: str = ""
    directory: str = ""

    def refuse(self, host: Reader) -> None:
        if not docker_api.answers(host):
            return
        wanted = json.dumps({"label": [f"{LABEL}={self.project}"]})
        _, body = docker_api.call("GET", f"/containers/json?all=1&filters={quote(wanted)}")
        found = {entry["Names"][0].lstrip("/"): entry["Labels"] for entry in json.loads(body)}
        for name in self.containers:
            container = docker_api.inspect(host, "containers", name)
            if container is not None:
                found[name] = (container.get("Config") or {}).get("Labels") or {}
        for name, labels in found.items():
            place = labels.get(f"{LABEL}.working_dir", "")
            if place != self.directory:
                raise _refusal(name, labels.get(LABEL, ""), place)

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


def _refusal(name: str, project: str, place: str) -> Refused:
    of = f" of the Compose project {project} in {place}" if project else ""
    return Refused(
        f"this host has a container {name}{of} that encamp did not make",
        "encamp's stack has the same name, and Compose would replace its containers",
        "give the other one another name (docker rename; COMPOSE_PROJECT_NAME), or declare this server as an instance "
        "of another name (instances:)",
    )


def restart_server(host: System, unit: str) -> None:
    """Restart the unit; its stop, told by a file, then leaves all containers but the server running."""
    host.write(server_only(unit), "")
    from encamp.resources.systemd.control import change_state

    change_state(host, "restart", unit)


def server_only(unit: str) -> str:
    """A file that makes the next stop of the unit stop only the server."""
    return f"/run/{unit}.server-only"
