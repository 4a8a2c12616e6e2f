"""Roles of a site's own: folders with a ``role.py`` in its ``roles/``, which encamp.cli.role_path adds to ours."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

import roles
from encamp.errors import Origin, SettingsError
from roles.role import Role


@functools.cache
def found() -> tuple[Role, ...]:
    """The site's roles in the order of their names. Raises SettingsError for a ``role.py`` without such a ROLE."""
    folders = map(Path, list(roles.__path__)[1:])
    return tuple(_read(path) for folder in folders for path in sorted(folder.glob("*/role.py")))


def groups() -> list[str]:
    """The groups of the inventory that these roles are for."""
    return [role.group for role in found() if role.group]


def _read(path: Path) -> Role:
    name, where = path.parent.name, Origin(str(path))
    role = getattr(importlib.import_module(f"roles.{name}.role"), "ROLE", None)
    if not isinstance(role, Role) or role.name != name:
        raise SettingsError("there is no ROLE of this name", f'end it with ROLE = Role("{name}", ...)', where)
    return role
