"""How long a server keeps flow runs and events: Prefect's own vacuum, by the names and forms that its release knows."""

from __future__ import annotations

from encamp.errors import SettingsError
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import SiteHost
from roles.prefect import versions
from roles.prefect.release import prefect_version

DAY = 86400
#: What the vacuum removes. Its list replaces the default: events have to be named again. With flow runs go what
#: belonged to them: logs, artifacts, task runs.
EVENTS_AND_RUNS = "events,flow_runs"


@record
class Settings:
    """How long a server keeps what has ended.

    Prefect's own services remove it, round by round. Rows go, files do not shrink: Postgres uses the room again.
    """

    retention_runs: int = setting(
        0,
        "Days after which flow runs that have ended are removed, with their task runs, logs and artifacts (Prefect "
        "3.6.19 and later). Logs have no retention of their own. 0: kept for ever.",
        minimum=0,
        maximum=36500,
        example="90",
    )
    retention_events: int = setting(
        0,
        "Days after which events are removed (Prefect 2.18.2 and later). 0: Prefect's default, 7 days.",
        minimum=0,
        maximum=36500,
        example="30",
    )


def server_settings(host: SiteHost) -> dict[str, str]:
    """The settings by their keys in versions.NAMES. Raises SettingsError for a release without them."""
    settings, version = host.settings(Settings), prefect_version(host)
    found: dict[str, str] = {}
    if settings.retention_events:
        _require(host, "events_retention", "retention_events")
        found["events_retention"] = _period(settings.retention_events, version)
    if settings.retention_runs:
        _require(host, "vacuum", "retention_runs")
        found |= {"vacuum": EVENTS_AND_RUNS, "vacuum_retention": _period(settings.retention_runs, version)}
    return found


def _require(host: SiteHost, key: str, name: str) -> None:
    version = prefect_version(host)
    if versions.setting(key, version) is None:
        raise SettingsError(
            f"{host.name}: {name}: Prefect {version} cannot do that",
            f"choose {versions.since(key)} or later, or remove {name}",
            host.origin(name),
        )


def _period(days: int, version: str) -> str:
    """A period as a release reads it: in ISO 8601, which Prefect 3 alone takes, or before in seconds."""
    return f"P{days}D" if versions.able("ISO periods", version) else str(days * DAY)
