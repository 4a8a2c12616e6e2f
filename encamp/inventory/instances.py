"""Several instances on one host: each has the host's variables, with its own on top.

``instances: {default: {}, personal: {port: 4202}}`` in the inventory. Ansible knows no such thing; the form is that of
any mapping of names to variables. What ``--set`` gives counts more, as everywhere.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from encamp.errors import Origin, SettingsError
from encamp.inventory.host import Host
from encamp.inventory.variables import Value, Variables
from encamp.inventory.yaml_document import LocatedDict
from encamp.secrets.vault.values import shown

KEY = "instances"
DEFAULT = "default"
#: Part of names of users (32 characters at most), units, databases and directories.
_NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
_LONGEST = 16
#: Words that stand in names and paths of their own beside the instances' names.
_TAKEN = ("worker", "agent", "server", "envs", "hosted")


def names(host: Host) -> list[str]:
    """The names of a host's instances, in the order of the inventory. Raises SettingsError."""
    return list(_declared(host)) or [DEFAULT]


def own_keys(host: Host, instance: str) -> Mapping[str, Origin]:
    """The variables that an instance gives itself, with where each was written. Raises SettingsError."""
    return {name: value.origin for name, value in _own(host, instance).items()}


def applied(host: Host, instance: str) -> Host:
    """The host as one of its instances. Raises SettingsError."""
    own = _own(host, instance)
    if not own:
        return host
    variables = host.variables
    assert isinstance(variables, Variables)
    return dataclasses.replace(host, variables=variables.extended(own))


def check_name(name: object, where: Origin | None = None) -> None:
    """Raises SettingsError for a name that users, units, databases and directories cannot have."""
    if not isinstance(name, str) or not re.fullmatch(_NAME, name) or len(name) > _LONGEST:
        fix = f"use lower-case letters, digits and single dashes, {_LONGEST} characters at most"
        raise SettingsError(f"{name!r} is not a valid name for an instance", fix, where)
    if set(name.split("-")) & set(_TAKEN):
        fix = f"choose a name without {', '.join(_TAKEN)}"
        raise SettingsError(f"{name} cannot be the name of an instance: encamp uses it itself", fix, where)


def _declared(host: Host) -> Mapping[str, Any]:
    """The instances as they are written. Raises SettingsError."""
    if KEY not in host.variables:
        return {}
    value = _written(host)
    if not isinstance(value.data, dict) or not value.data:
        raise _wrong("must be a mapping of names to their settings", value.origin)
    for name, own in value.data.items():
        where = _line(value, name)
        check_name(name, where)
        if own is not None and not isinstance(own, dict):
            raise _wrong(f"gives {name} {shown(own)} instead of settings", where)
    return value.data


def _written(host: Host) -> Value:
    """The variable, its templates not rendered: those of an instance's settings see that instance's other values."""
    variables = host.variables
    value = variables.raw(KEY) if isinstance(variables, Variables) else variables[KEY]
    return value if isinstance(value.data, dict) else variables[KEY]


def _own(host: Host, instance: str) -> dict[str, Value]:
    """An instance's own variables."""
    given = _declared(host).get(instance) or {}
    if not given:
        return {}
    origin = _written(host).origin
    lines = given.lines if isinstance(given, LocatedDict) else {}
    own = {str(name): Value(data, Origin(origin.file, lines.get(name, origin.line))) for name, data in given.items()}
    return {name: value for name, value in own.items() if not _from_command_line(host.variables, name)}


def _from_command_line(variables: Mapping[str, Value], name: str) -> bool:
    if not isinstance(variables, Variables) or name not in variables:
        return False
    return variables.origin(name).is_override


def _line(value: Value, name: object) -> Origin:
    lines = value.data.lines if isinstance(value.data, LocatedDict) else {}
    return Origin(value.origin.file, lines.get(name, value.origin.line))


def _wrong(
    what: str, where: Origin, fix: str = "write it as `personal: {port: 4202}` below instances:"
) -> SettingsError:
    return SettingsError(f"{KEY} {what}", fix, where)
