"""Whether a Postgres cluster starts at boot."""

from __future__ import annotations

from encamp.resources.postgres.layout import Cluster
from encamp.resources.system import Reader

WANTS = "/etc/systemd/system/multi-user.target.wants"


def starts_at_boot(host: Reader, cluster: Cluster) -> bool:
    """Whether systemd starts the cluster at boot."""
    if host.stat(f"{WANTS}/{cluster.unit}"):
        return True
    if host.os_release().family == "rhel":
        return False
    return start_conf(host, cluster) == "auto" and host.stat(f"{WANTS}/postgresql.service") is not None


def start_conf(host: Reader, cluster: Cluster) -> str:
    """The word in Debian's start.conf: auto, manual or disabled; auto without a file."""
    text = (host.read(f"{cluster.config}/start.conf") or b"auto").decode("utf-8", "replace")
    words = [line.partition("#")[0].strip() for line in text.splitlines()]
    return next((word for word in words if word), "auto")
