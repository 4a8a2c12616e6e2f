"""Paths that an operator wrote."""

from __future__ import annotations

import os


def locate(path: str, directory: str) -> str:
    """A path an operator wrote: ``~`` expanded, below the current directory if it is there, else the inventory's."""
    expanded = os.path.expanduser(path)
    here = os.path.abspath(expanded)
    return here if os.path.exists(here) or not directory else os.path.abspath(os.path.join(directory, expanded))
