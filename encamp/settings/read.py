"""Typed settings: a role declares a frozen dataclass, the inventory gives the values, mistakes name file and line.

A class of settings is a role's documented API: ``port: int = setting(4200, "TCP port", minimum=1, maximum=65535)``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from encamp.errors import EncampError, InventoryError, Origin, SettingsError
from encamp.inventory.host import Host
from encamp.inventory.variables import Value, Variables
from encamp.settings.convert import Converter
from encamp.settings.declare import hints_of, spec_of
from encamp.settings.scalars import Invalid, ValuePath

T = TypeVar("T")


def read_settings(cls: type[T], host: Host, fetch: bool = True) -> T:
    """The settings of one class for ``host``, secrets fetched. Raises SettingsError with everything that is wrong."""
    values, errors = values_of(cls, host, Converter(host.directory, fetch))
    if errors:
        raise combined(errors)
    return made(cls, values, host)


def combined(errors: Sequence[EncampError]) -> SettingsError:
    """All mistakes as one error: each place once, in the order of files and lines."""
    unique = {(str(error), error.fix): error for error in errors}
    ordered = sorted(unique.values(), key=_by_place)
    if len(ordered) == 1:
        return SettingsError(ordered[0].message, ordered[0].fix, ordered[0].where)
    lines = [f"{len(ordered)} settings are wrong:"]
    lines += [f"  {error}" + (f" ({error.fix})" if error.fix else "") for error in ordered]
    return SettingsError("\n".join(lines), "correct them and run again")


def _by_place(error: EncampError) -> tuple[str, int, str]:
    where = error.where or Origin("")
    return where.file, where.line, str(error)


def values_of(cls: type, host: Host, converter: Converter) -> tuple[dict[str, Any], list[EncampError]]:
    """Converted values of the settings that the inventory gives, and what is wrong with the rest."""
    values: dict[str, Any] = {}
    errors: list[EncampError] = []
    for field in dataclasses.fields(cls):
        if field.name not in host.variables:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                errors.append(SettingsError(f"{host.name}: {field.name} must be set", spec_of(field).help))
            continue
        try:
            value = host.variables[field.name]
            spec = spec_of(field)
            place = ValuePath(field.name, value.origin, value.text, spec.lines)
            values[field.name] = converter.setting(hints_of(cls)[field.name], value.data, place, spec)
        except Invalid as error:
            errors.append(SettingsError(error.message, error.fix, error.origin))
        except InventoryError as error:
            errors.append(error)
    return values, errors


def made(cls: type[T], values: dict[str, Any], host: Host) -> T:
    """The instance. A class may look at its fields together in ``__post_init__`` and raise ValueError that names them.

    The error is placed where the first of them that the host is given stands.
    """
    try:
        return cls(**values)
    except ValueError as error:
        text = str(error)
        named = sorted((found.start(), key) for key in values for found in [re.search(rf"\b{key}\b", text)] if found)
        where = origin_of(host, named[0][1]) if named else None
        raise SettingsError(f"{host.name}: {text}", where=where) from None


def origin_of(host: Host, name: str) -> Origin:
    variables = host.variables
    if isinstance(variables, Variables):
        return variables.origin(name)
    value: Value = variables[name]
    return value.origin
