"""Paths that begin with ``~/``: only the host knows where its user's home is."""

from __future__ import annotations

from encamp.resources.base import Reader


def expand(host: Reader, path: str) -> str:
    """``~/x`` in the home of the user the agent runs as; any other path unchanged."""
    return host.home.rstrip("/") + path[1:] if path.startswith("~/") else path
