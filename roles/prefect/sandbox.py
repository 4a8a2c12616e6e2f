"""Whether a host's units may shut it with mount namespaces, which some containers forbid."""

from __future__ import annotations

from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import SiteHost


@record
class Settings:
    """What this host lets units do."""

    mount_namespaces: bool = setting(
        True,
        "Whether units get a view of the file system of their own (`ProtectSystem=strict` and its kin). false: for "
        "containers that forbid it, such as LXC without nesting, where units end with `226/NAMESPACE`; the rest of "
        "their sandbox stays.",
        per_host=True,
    )


def has_namespaces(host: SiteHost) -> bool:
    """Whether units are given mount namespaces."""
    return host.settings(Settings).mount_namespaces
