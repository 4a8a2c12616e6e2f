"""What an inventory says of a server's service."""

from __future__ import annotations

from typing import Any, Literal

from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.shared.secret_names import is_secret

#: The key of blocks, where it is not in the database, as releases call it that do not know its newer name.
OLD_KEY = "ORION_ENCRYPTION_KEY"


def _prefect_names(value: Any) -> str | None:
    wrong = [name for name in value if not name.startswith("PREFECT_") and name != OLD_KEY]
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
    server_environment: dict[str, str | Secret] = setting(
        {},
        "Additional PREFECT_* settings for the server's environment file. A value can be a secret source; one that is "
        "a secret by its name, or a URL with a login, must be.",
        check=_prefect_names,
        secret=is_secret,
        example="{PREFECT_SERVER_EVENTS_RETENTION_PERIOD: P30D}",
    )
