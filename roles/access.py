"""Who may use an instance, and what it tells others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from encamp.settings import setting
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost


@dataclasses.dataclass(frozen=True)
class Settings:
    """Access and telemetry."""

    analytics: bool = setting(False, "Whether the server may send usage telemetry to Prefect.")


def server_settings(host: SiteHost, site: Site) -> Mapping[str, str | Secret]:
    """What the server is told of access, by the keys of ``versions.NAMES``."""
    return {"analytics": str(host.settings(Settings).analytics).lower()}
