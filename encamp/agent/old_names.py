"""Old names of kinds, as older versions of encamp recorded them for pending handlers."""

from __future__ import annotations

from typing import Any, Mapping

#: The old ``module:Class`` of a handler, and the present one. A row is kept for one release.
NAMES = {
    "encamp.resources.restart:Restart": "encamp.resources.systemd.restart:Restart",
    "encamp.resources.restart:Reload": "encamp.resources.systemd.restart:Reload",
    "roles.kinds.stack_containers:StackRestart": "roles.server.kinds.stack.containers:StackRestart",
    "roles.kinds.worker_service:WorkerRestart": "roles.worker.kinds.service:WorkerRestart",
}


def renamed(data: Any, names: Mapping[str, str] = NAMES) -> Any:
    """Wire data with every kind under its present name."""
    if isinstance(data, list):
        return [renamed(item, names) for item in data]
    if not isinstance(data, dict):
        return data
    data = {key: renamed(item, names) for key, item in data.items()}
    if set(data) == {"kind", "fields"}:
        data["kind"] = names.get(data["kind"], data["kind"])
    return data
