"""How operators name places on a host: by path, below the home of its user, or a Python by its series."""

from __future__ import annotations

import os
import re

from encamp.resources.system import Reader


def expand(host: Reader, path: str) -> str:
    """``~/x`` in the home of the user the agent runs as; any other path unchanged."""
    return os.path.join(host.home, *path[2:].split("/")) if path.startswith("~/") else path


def is_series(python: str) -> bool:
    """Whether ``python`` is a series such as ``3.11``, not the path of an interpreter."""
    return re.match(r"\d+\.\d+\Z", python) is not None
