"""Where ``import roles`` looks: beside encamp, then in the ``roles/`` of a site."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from encamp.errors import SettingsError
from encamp.support.checkout import PACKAGE

OURS = PACKAGE.parent / "roles"


def set_up(home: Path) -> None:
    """Let the package ``roles`` be encamp's own, and the site's roles be found in it. Call it before that is imported.

    ``home``, the site's folder, comes first on ``sys.path``: a ``roles/__init__.py`` there would be all roles. Raises
    SettingsError for a role that has the name of one of encamp's.
    """
    path = _package().__path__
    own = home.resolve() / "roles"
    if not own.is_dir() or own == OURS or str(own) in path:
        return
    for role in sorted(own.glob("*/role.py")):
        if (OURS / role.parent.name).exists():
            raise SettingsError(f"{role.parent}: encamp has a role of that name", "rename the folder")
    path.append(str(own))


def _package() -> ModuleType:
    """encamp's package ``roles``."""
    known = sys.modules.get("roles")
    if known and str(OURS) in known.__path__:
        return known
    spec = importlib.util.spec_from_file_location("roles", OURS / "__init__.py", submodule_search_locations=[str(OURS)])
    assert spec and spec.loader
    package = importlib.util.module_from_spec(spec)
    sys.modules["roles"] = package
    spec.loader.exec_module(package)
    return package
