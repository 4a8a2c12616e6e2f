"""Where a site is: the folder or file that the options name, and its inventory file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from encamp.errors import InventoryError, Origin, UsageError


def locate(option: str, home: str = "", environment: Mapping[str, str] | None = None) -> Path:
    """The site to use: ``--inventory``, else ENCAMP_INVENTORY, else ``inventory/`` beside the fabfile, in ``home``."""
    named = option or (os.environ if environment is None else environment).get("ENCAMP_INVENTORY", "")
    return Path(named) if named else Path(home, "inventory")


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """``--set key=value`` pairs. Raises UsageError for one without ``=``."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {pair}: expected key=value", "for example --set port=4201")
        found[key] = value
    return found


_NAMES = ("hosts.yml", "hosts.yaml")


def file_of(path: Path) -> Path:
    """The inventory file of a site. Raises InventoryError where there is none."""
    absolute = os.path.abspath(os.path.expanduser(path))
    if os.path.isfile(absolute):
        return Path(absolute)
    if not os.path.isdir(absolute):
        fix = "name a directory with a hosts.yml, or a YAML file (--inventory, ENCAMP_INVENTORY)"
        raise InventoryError(f"there is no inventory at {path}", fix)
    names = _held(absolute)
    found = [name for name in _NAMES if name in names]
    if len(found) > 1:
        raise InventoryError(
            f"{path} contains both {' and '.join(found)}", "keep one of them, or name it (--inventory)"
        )
    if found:
        return Path(absolute, found[0])
    if "hosts" in names or "hosts.ini" in names:
        fix = "turn the INI file into YAML: ansible-inventory -i hosts --list --yaml > hosts.yml"
        raise InventoryError(f"{path} contains an INI inventory; encamp reads only YAML", fix)
    raise InventoryError(f"{path} contains no hosts.yml", "create it, or name another directory with --inventory")


def _held(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise InventoryError(f"cannot read it: {error.strerror}", "check its path and mode", Origin(folder)) from None
