"""What an inventory says of a server's service."""

from __future__ import annotations

from typing import Any, Literal

from encamp.settings.declare import setting
from encamp.shared.record import record


def _prefect_names(value: Any) -> str | None:
    wrong = [name for name in value if not name.startswith("PREFECT_")]
    return f"{wrong[0]} is not a PREFECT_* setting" if wrong else None


@record
class Settings:
    """The server."""

    server_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting("WARNING", "Log level of the server.")
    server_start_timeout: int = setting(
        180,
        "Seconds to wait for the server to become healthy after a start. Migrating a large database takes long.",
        minimum=1,
    )
    server_environment: dict[str, str] = setting(
        {},
        "Additional PREFECT_* settings for the server's environment file.",
        check=_prefect_names,
        example="{PREFECT_SERVER_EVENTS_RETENTION_PERIOD: P30D}",
    )
