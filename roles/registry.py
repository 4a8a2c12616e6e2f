"""All roles, in the order in which a deploy opens their stages. A new role is its folder and its entry here.

Those of a site's own come last.
"""

from __future__ import annotations

from collections.abc import Sequence

from roles import site_roles
from roles.adopt.role import ROLE as ADOPT
from roles.backup.role import COPIES
from roles.backup.role import ROLE as BACKUP
from roles.client.role import ROLE as CLIENT
from roles.postgres.role import ROLE as POSTGRES
from roles.prefect.role import ROLE as PREFECT
from roles.role import Role
from roles.server.role import ROLE as SERVER
from roles.worker.role import ROLE as WORKER

ROLES: tuple[Role, ...] = (
    PREFECT,
    ADOPT,
    BACKUP,
    COPIES,
    POSTGRES,
    SERVER,
    WORKER,
    CLIENT,
    *site_roles.found(),
)


def settings_of(roles: Sequence[Role]) -> tuple[type, ...]:
    """The classes of all settings that an inventory may set for some roles."""
    return tuple(cls for role in roles for cls in role.settings)
