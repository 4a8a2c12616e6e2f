"""Settings of a host: the inventory gives the values, mistakes name file and line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from encamp.errors import EncampError, InventoryError, Origin, SettingsError
from encamp.inventory.host import Host
from encamp.inventory.variables import Value, Variables
from encamp.secrets.vault.values import veiled
from encamp.settings.convert import Converter, Given
from encamp.settings.declare import hints_of, spec_of
from encamp.settings.scalars import Invalid, ValuePath

T = TypeVar("T")


@dataclasses.dataclass
class Conversion:
    """What became of one class of settings: values by field, what is wrong with others, and where secrets come from."""

    values: dict[str, Any]
    errors: list[EncampError]
    given: list[Given]
    made: object = None


class HostSettings:
    """The settings of one host (of one of its instances). Each is converted once, whoever asks for it.

    A secret is fetched when the class that declares it is read; with ``fetch`` False something else stands for it.
    """

    def __init__(self, host: Host, fetch: bool = True) -> None:
        self.host, self._fetch = host, fetch
        self._conversions: dict[type, Conversion] = {}

    def check(self, cls: type) -> list[EncampError]:
        """What is wrong with the settings of a class; no secret is fetched."""
        found = self._conversion(cls)
        if found.errors:
            return found.errors
        try:
            instance: object = made(cls, found.values, self.host)
        except SettingsError as error:
            return [error]
        if not (found.given and self._fetch):
            found.made = instance
        return []

    def read(self, cls: type[T]) -> T:
        """The settings of a class, its secrets fetched. Raises SettingsError with everything that is wrong."""
        found = self._conversion(cls)
        if self.host.faults:
            raise combined(self.host.faults)
        if found.made is None:
            secrets, errors = self._fetched(cls, found)
            if found.errors or errors:
                raise combined([*found.errors, *errors])
            found.made = made(cls, {**found.values, **secrets}, self.host)
        assert isinstance(found.made, cls)
        return found.made

    def given(self, classes: Sequence[type]) -> list[Given]:
        """Where each secret comes from, with none of them fetched. Settings that are wrong are left out."""
        return [given for cls in classes for given in self._conversion(cls).given]

    def _conversion(self, cls: type) -> Conversion:
        if cls not in self._conversions:
            self._conversions[cls] = _converted(cls, dataclasses.fields(cls), self.host, fetch=False)
        return self._conversions[cls]

    def _fetched(self, cls: type, found: Conversion) -> tuple[dict[str, Any], list[EncampError]]:
        """The settings that hold secrets, now fetched, and what is wrong with them."""
        names = {given.field for given in found.given} if self._fetch else set()
        fields = [field for field in dataclasses.fields(cls) if field.name in names and field.name in found.values]
        again = _converted(cls, fields, self.host, fetch=True)
        return again.values, again.errors


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


def _converted(cls: type, fields: Iterable[dataclasses.Field[Any]], host: Host, fetch: bool) -> Conversion:
    """The settings that the inventory gives for some fields of a class."""
    converter = Converter(host.directory, fetch)
    values: dict[str, Any] = {}
    errors: list[EncampError] = []
    for field in fields:
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
    return Conversion(values, errors, converter.given)


def made(cls: type[T], values: dict[str, Any], host: Host) -> T:
    """The instance. A class may check its fields together in ``__post_init__`` and raise ValueError that names them.

    The error is placed where the first of them that the host is given stands.
    """
    try:
        return cls(**values)
    except ValueError as error:
        text = veiled(str(error), values)
        named = sorted((found.start(), key) for key in values for found in [re.search(rf"\b{key}\b", text)] if found)
        where = origin_of(host, named[0][1]) if named else None
        raise SettingsError(f"{host.name}: {text}", where=where) from None


def origin_of(host: Host, name: str) -> Origin:
    """Where a variable of a host was written."""
    variables = host.variables
    if isinstance(variables, Variables):
        return variables.origin(name)
    value: Value = variables[name]
    return value.origin
