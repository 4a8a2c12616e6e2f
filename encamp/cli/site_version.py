"""The mark of the encamp that made a site, in its ``fabric.yaml``: ``encamp: {version: 0.1.0}``."""

from __future__ import annotations

import re

import encamp
from encamp.errors import SettingsError


def check(mark: object, installed: str = encamp.__version__) -> None:
    """Refuse a site that a newer encamp made. A site without a mark is any encamp's. Raises SettingsError."""
    if mark is None:
        return
    wanted, have = _numbers(str(mark)), _numbers(installed)
    if not wanted:
        reason = f"fabric.yaml: encamp.version is {str(mark)!r}"
        raise SettingsError(reason, "write a version such as 0.1.0, or remove the line")
    if wanted > have:
        reason = f"this site was made by encamp {mark}, and this is encamp {installed}"
        raise SettingsError(reason, "upgrade encamp; the site's version is encamp.version in fabric.yaml")


def _numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, without what follows them; none where it does not begin with one."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
