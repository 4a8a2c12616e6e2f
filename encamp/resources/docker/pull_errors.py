"""What it means when Docker cannot pull an image: a table from the engine's words to cause and fix."""

from __future__ import annotations

import re

from encamp.resources.base import Failure
from encamp.resources.system import Result
from encamp.shared.record import record


@record
class PullError:
    """Words of the engine (``pattern``), what they mean, and what to do; ``{reference}`` stands for the image."""

    pattern: str
    cause: str
    fix: str


ARCHIVE = (
    "or run `docker save {reference} | gzip > images.tar.gz` on a machine that can pull it, and set "
    "image_archive: images.tar.gz"
)
#: The first match counts: an engine without network also fails to ask for a token.
PULL_ERRORS = (
    PullError(
        r"Cannot connect to the Docker daemon",
        "Docker's engine is not running",
        "read `journalctl -u docker -e` on the host",
    ),
    PullError(
        r"no space left on device",
        "the file system of Docker's images is full",
        "free some space (`df -h /var/lib/docker`, `docker system df`), then deploy again",
    ),
    PullError(
        r"toomanyrequests|pull rate limit",
        "the registry limits the pulls from this address",
        f"set registry_user and registry_password, wait, {ARCHIVE}",
    ),
    PullError(
        r"no matching manifest for",
        "the registry has that image for other processors only",
        "choose an image that has this host's architecture (`docker manifest inspect {reference}`)",
    ),
    PullError(
        r"x509:|certificate signed by unknown authority",
        "Docker's engine does not trust the registry's certificate",
        "set ca_bundle: to the certificate authority that signed it and deploy again, or correct the host's clock",
    ),
    PullError(
        r"server gave HTTP response to HTTPS client",
        "the registry speaks plain http",
        "add it to insecure-registries in /etc/docker/daemon.json, or put TLS in front of it",
    ),
    PullError(
        r"unauthorized|no basic auth|denied",
        "the registry requires a login, or does not have that image",
        f"check the name, set registry_user and registry_password, {ARCHIVE}",
    ),
    PullError(
        r"manifest unknown|manifest for .* not found|not found: manifest|repository .* not found|name unknown",
        "the registry does not have that image",
        f"correct the name, {ARCHIVE}",
    ),
    PullError(
        r"no such host|i/o timeout|connection refused|connection reset|network is unreachable|no route to host"
        r"|deadline exceeded|request canceled|TLS handshake timeout|proxyconnect|EOF",
        "this host cannot reach the registry",
        f"check its network, DNS and Docker's proxy (`systemctl show docker -p Environment`), {ARCHIVE}",
    ),
)


def explain(reference: str, result: Result) -> Failure:
    """The failure of ``docker pull``; without a cause where the engine's words are not known."""
    found = next((error for error in PULL_ERRORS if re.search(error.pattern, result.err)), None)
    cause, fix = (found.cause, found.fix) if found else ("", f"read the lines below, {ARCHIVE}")
    return Failure(f"Docker could not pull {reference}", cause, fix.format(reference=reference), result.tail)
