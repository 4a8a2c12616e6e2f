"""Whether encamp runs from a checkout, and where that is."""

from __future__ import annotations

from pathlib import Path

#: The package ``encamp``.
PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED_TEMPLATES = PACKAGE / "templates"
#: The checkout's top folder; None where encamp was installed from a wheel.
CHECKOUT = None if _INSTALLED_TEMPLATES.is_dir() else PACKAGE.parent
#: The templates that come with encamp.
TEMPLATES = CHECKOUT / "templates" if CHECKOUT else _INSTALLED_TEMPLATES
