"""Variables of other roles in the same inventory, and how a misspelt name of ours is told from them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from encamp.errors import EncampError, InventoryError, Origin, SettingsError
from encamp.inventory.connection_names import refused
from encamp.inventory.host import Host
from encamp.inventory.variables import Variables
from encamp.inventory.yaml_document import Untyped, typed
from encamp.settings.read import origin_of
from encamp.settings.scalars import shown
from encamp.shared.record import record

KEY = "unknown_settings"
_HOW = "write unknown_settings: refuse, unknown_settings: ignore, or a list of prefixes such as [nginx_, docker_]"
#: Words of this length and less differ from each other by a letter all the time: there, only swapped letters count.
_SHORT = 4


@record
class Policy:
    """What becomes of variables that encamp does not know. ``ignored`` None: all but misspelt ones are left alone."""

    ignored: tuple[str, ...] | None = ()

    def problem(self, name: str, where: Origin, settings: Sequence[str], host: Host) -> EncampError | None:
        """What is wrong with an unknown variable; None where it is somebody else's."""
        if name.startswith("ansible_"):
            problem = refused(name, where)
            if problem:
                return problem
        if self.ignored and name.startswith(self.ignored):
            return None
        meant = misspelt(name, settings)
        if meant:
            return SettingsError(f"there is no setting {name}", f"did you mean {meant}?", where)
        if self.ignored is None or _is_from_program(host, name):
            return None
        import difflib

        near = difflib.get_close_matches(name, settings, 1)
        asked = f"did you mean {near[0]}? " if near else ""
        fix = f"{asked}remove it, call it x_{name}, or leave what belongs to other roles alone: {KEY}: ignore"
        return SettingsError(f"there is no setting {name}", fix, where)


def policy(host: Host) -> Policy:
    """What the site says of unknown variables. Raises SettingsError for what it cannot say."""
    value = host.variables.get(KEY)
    if value is None:
        _refuse_misspelt_key(host)
        return Policy()
    try:
        data = typed(str(value.data), value.origin.file) if isinstance(value.data, Untyped) else value.data
    except InventoryError:
        data = str(value.data)
    if data == "refuse":
        return Policy()
    if data == "ignore":
        return Policy(None)
    if isinstance(data, list) and data and all(isinstance(item, str) and item.rstrip("*") for item in data):
        return Policy(tuple(str(item).rstrip("*") for item in data))
    raise SettingsError(f"{KEY} must be refuse, ignore or a list of prefixes, not {shown(data)}", _HOW, value.origin)


def _refuse_misspelt_key(host: Host) -> None:
    """Raises SettingsError, in place of one for every variable that it would have let pass."""
    for name in host.variables:
        if misspelt(name, (KEY,)):
            raise SettingsError(f"there is no setting {name}", f"did you mean {KEY}?", origin_of(host, name))


def misspelt(name: str, settings: Sequence[str]) -> str:
    """The setting that a name is a misspelling of, or nothing: word by word at most one letter off.

    ``databases`` is not a misspelt ``database``, nor ``ports`` a misspelt ``port``: so do other roles call theirs.
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    for setting in settings:
        if plain == setting.replace("_", ""):
            return setting
        ours, theirs = setting.split("_"), name.lower().split("_")
        if len(ours) == len(theirs) and not _is_plural(name, setting) and all(map(_is_near, theirs, ours)):
            return setting
    return ""


def _is_plural(name: str, setting: str) -> bool:
    return name == f"{setting}s"


def _is_near(word: str, ours: str) -> bool:
    """Whether a word is ours, or ours with a letter more, less or other, or with two letters swapped."""
    if word == ours:
        return True
    at = next((at for at, (one, other) in enumerate(zip(word, ours, strict=False)) if one != other), None)
    at = min(len(word), len(ours)) if at is None else at
    rest, of_ours = word[at:], ours[at:]
    if len(rest) > 1 and len(rest) == len(of_ours) and rest[1::-1] + rest[2:] == of_ours:
        return True
    if len(ours) <= _SHORT:
        return False
    return rest[1:] == of_ours or rest == of_ours[1:] or rest[1:] == of_ours[1:]


def _is_from_program(host: Host, name: str) -> bool:
    """Whether a script or plugin gives a variable: it tells all that it knows of a host."""
    variables = host.variables
    return isinstance(variables, Variables) and variables.raw(name).from_program
