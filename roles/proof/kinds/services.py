"""Which services a server runs, by the settings that it resolved: what is switched off is not to be proven."""

from __future__ import annotations

from typing import Any

from encamp.resources.system import Reader
from roles.prefect.kinds.api import Api

#: Where the switch of each service stands: in nested settings, and by its names in Orion and up to 3.0.
SCHEDULER = ("scheduler", "PREFECT_ORION_SERVICES_SCHEDULER_ENABLED", "PREFECT_API_SERVICES_SCHEDULER_ENABLED")
TRIGGERS = ("triggers", "PREFECT_API_SERVICES_TRIGGERS_ENABLED")
PERSISTER = ("event_persister", "PREFECT_API_SERVICES_EVENT_PERSISTER_ENABLED")


def switched_on(host: Reader, api: Api, *services: tuple[str, ...]) -> bool:
    """Whether all of these services are on."""
    answer = api.persistent(host, "GET", "admin/settings")
    found: dict[str, Any] = answer.json() if answer.status == 200 else {}
    return not any(str(value).lower() == "false" for service in services for value in _switches(found, *service))


def _switches(settings: dict[str, Any], name: str, *old_names: str) -> list[Any]:
    value: Any = settings
    for key in ("server", "services", name, "enabled"):
        value = value.get(key) if isinstance(value, dict) else None
    return [value, *(settings.get(old) for old in old_names)]
