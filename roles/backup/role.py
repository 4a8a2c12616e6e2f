"""Backups: what an inventory may say of them, and the hosts that keep copies.

What a database's own host needs is part of the stages of database and server (``deployed``).
"""

from __future__ import annotations

from roles.backup import copies, settings
from roles.prefect.groups import BACKUPS, is_server
from roles.role import Role

ROLE = Role("backup", settings=(settings.Settings,), owners="servers", reads=is_server)
COPIES = Role(
    "copies",
    BACKUPS,
    settings=(copies.Settings,),
    owners="hosts of the group backups",
    applies_to=lambda host: host.in_group(BACKUPS),
    resources=copies.resources,
    secrets=copies.generated,
    per_host=True,
)
