"""Where a site is: the sources that the options name, and the folder that keeps what encamp makes for it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from encamp.errors import UsageError
from encamp.inventory.forms.host_list import is_host_list


def locate(named: str | Sequence[str], home: str = "", environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The sources of the inventory: every ``--inventory``, else ENCAMP_INVENTORY, else ``inventory/`` beside the
    fabfile, in ``home``.

    ENCAMP_INVENTORY may name several with commas, as ANSIBLE_INVENTORY does.
    """
    if named:
        return (named,) if isinstance(named, str) else tuple(named)
    text = (os.environ if environment is None else environment).get("ENCAMP_INVENTORY", "")
    if os.path.lexists(os.path.expanduser(text)):
        return (text,)
    several = tuple(filter(None, text.split(",")))
    if len(several) > 1 and all(os.path.exists(os.path.expanduser(path)) for path in several):
        return several
    return (text,) if text else (str(Path(home, "inventory")),)


def folder_of(sources: Sequence[str], home: str = "") -> Path:
    """The folder that keeps a site's secrets and locks: that of the first source which is a file or a folder.

    For lists of hosts alone it is ``inventory/`` beside the fabfile, or that folder itself where there is none.
    """
    for source in sources:
        if not is_host_list(source):
            path = os.path.abspath(os.path.expanduser(source))
            return Path(path if os.path.isdir(path) else os.path.dirname(path))
    usual = Path(os.path.abspath(Path(home, "inventory")))
    return usual if usual.is_dir() else usual.parent


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """``--set key=value`` pairs. Raises UsageError for one without ``=``."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {pair}: expected key=value", "for example --set port=4201")
        found[key] = value
    return found
