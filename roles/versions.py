"""What differs between Prefect releases, in one table: setting names and commands by version.

No other file asks which version it has. Names and the releases that brought them were measured by running each
generation: a name that a release does not know is ignored without a word, and the server then runs on its defaults.
"""

from __future__ import annotations

from collections.abc import Mapping

from encamp.errors import SettingsError

Version = tuple[int, ...]
#: For each setting, its name from a release on. None: gone from that release on.
NAMES: Mapping[str, tuple[tuple[str, str | None], ...]] = {
    "api_url": (("2.0", "PREFECT_API_URL"),),
    "home": (("2.0", "PREFECT_HOME"),),
    "database_url": (
        ("2.0", "PREFECT_ORION_DATABASE_CONNECTION_URL"),
        ("2.8", "PREFECT_API_DATABASE_CONNECTION_URL"),
        ("3.0", "PREFECT_SERVER_DATABASE_CONNECTION_URL"),
    ),
    "api_host": (("2.0", "PREFECT_ORION_API_HOST"), ("2.8", "PREFECT_SERVER_API_HOST")),
    "api_port": (("2.0", "PREFECT_ORION_API_PORT"), ("2.8", "PREFECT_SERVER_API_PORT")),
    "ui_api_url": (
        ("2.0", "PREFECT_ORION_UI_API_URL"),
        ("2.8", "PREFECT_UI_API_URL"),
        ("3.0", "PREFECT_SERVER_UI_API_URL"),
    ),
    "ui_static_directory": (("2.14.16", "PREFECT_UI_STATIC_DIRECTORY"), ("3.0", "PREFECT_SERVER_UI_STATIC_DIRECTORY")),
    "analytics": (("2.0", "PREFECT_ORION_ANALYTICS_ENABLED"), ("2.8", "PREFECT_SERVER_ANALYTICS_ENABLED")),
    "server_log_level": (("2.0", "PREFECT_LOGGING_SERVER_LEVEL"), ("3.0", "PREFECT_SERVER_LOGGING_LEVEL")),
    "ephemeral": (("3.0", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"),),
    "client_tls_ca_file": (("2.16.5", "PREFECT_API_SSL_CERT_FILE"),),
}
SERVER_START: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("2.0", ("prefect", "orion", "start")),
    ("2.8", ("prefect", "server", "start")),
)
SUPPORTED_SINCE = "3.0"
#: Stands for a release that is not known: later than every one in the table.
NEWEST = "999.0"


def parse(version: str) -> Version:
    """``3.8.8`` as numbers. Raises SettingsError for anything that is no release number."""
    words = version.split(".")
    if not 2 <= len(words) <= 3 or not all(word.isdigit() for word in words):
        raise SettingsError(f"prefect_version: {version!r} is no release number", "write it like '3.8.8', quoted")
    return tuple(int(word) for word in words)


def has(version: str, since: str) -> bool:
    """Whether ``version`` is ``since`` or later."""
    return parse(version) >= parse(since)


def setting(key: str, version: str) -> str | None:
    """The environment variable that sets ``key`` in a release; None where the release has no such setting."""
    name = None
    for since, candidate in NAMES[key]:
        if has(version, since):
            name = candidate
    return name


def environment(values: Mapping[str, str], version: str) -> dict[str, str]:
    """Settings by their names in ``version``. What the release does not have is left out."""
    named = {setting(key, version): value for key, value in values.items()}
    return {name: value for name, value in named.items() if name is not None}


def server_command(version: str) -> tuple[str, ...]:
    """The command that starts the server, program first."""
    command: tuple[str, ...] = ()
    for start, words in SERVER_START:
        if has(version, start):
            command = words
    return command
