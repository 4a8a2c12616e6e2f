"""Which releases of client and server do not work together, as seen by running a flow over each pair."""

from __future__ import annotations

from encamp.shared.record import record
from roles.prefect.kinds.releases import version_key

KNOWS_AUTH = (3, 1, 8)
KNOWS_CSRF = (2, 16, 5)
#: From this client on, servers before that release refuse it: what it then says.
REFUSED: tuple[tuple[str, str, str], ...] = (
    ("2.7", "2.7", "422 Unprocessable Entity"),
    ("3.0", "3.0", "Found incompatible versions ... Major versions must match"),
    ("3.1", "3.1", "422 extra_forbidden (labels)"),
)
NEWER = "the client is newer than the server; a server must be at least as new as every client"
UPGRADE = "upgrade the server (prefect_version, then `fab deploy`), or give this client the server's release"


@record
class Skew:
    """A pair of releases: ``refused`` means flows fail, with ``symptom``; a ``cause`` alone is a warning."""

    refused: bool = False
    symptom: str = ""
    cause: str = ""
    fix: str = ""


def skew(client: str, server: str) -> Skew:
    """What a client of one release meets at a server of another."""
    ours, theirs = version_key(client), version_key(server)
    for first, needs, symptom in REFUSED:
        if ours >= version_key(first) and theirs < version_key(needs):
            return Skew(True, symptom, NEWER, UPGRADE)
    if ours > theirs:
        return Skew(cause=NEWER, fix=UPGRADE)
    return Skew()
