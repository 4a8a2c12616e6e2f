"""Old names of kinds, as older versions of encamp recorded them for pending handlers."""

from __future__ import annotations

from typing import Any, Mapping

#: The old ``module:Class`` of a handler, and the present one. A row is kept for one release.
NAMES = {
    f"encamp.resources.restart:{name}": f"encamp.resources.systemd.restart:{name}" for name in ("Restart", "Reload")
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
