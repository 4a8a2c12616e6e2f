"""Typed settings: a role declares a frozen dataclass, the inventory gives the values, mistakes name file and line.

A class of settings is a role's documented API: ``port: int = setting(4200, "TCP port", minimum=1, maximum=65535)``.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from encamp.errors import EncampError, InventoryError, Origin, SettingsError
from encamp.inventory.host import SUPPORTED, Host
from encamp.inventory.variables import Value, Variables
from encamp.settings.convert import Converter, Given
from encamp.settings.scalars import Invalid, Place
from encamp.settings.type_names import default_text, inner_classes, limits, type_name
from encamp.shared.record import record

T = TypeVar("T")
Check = Callable[[Any], "str | None"]

#: Variables that encamp itself reads, and the prefix of names that an inventory may use as it likes.
SITE_KEYS = ("adhoc", "instances")
FREE_PREFIX = "x_"


@record
class Spec:
    """What is said of a setting beside its type."""

    help: str
    minimum: float | None = None
    maximum: float | None = None
    check: Check | None = None
    example: str = ""
    per_host: bool = False
    lines: bool = False


def setting(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    check: Check | None = None,
    example: str = "",
    per_host: bool = False,
    lines: bool = False,
) -> Any:
    """Declare a setting. Without a default it must be given. ``check`` returns what is wrong with a value, or None.

    ``per_host``: it is the same for all instances of a host. ``lines``: a secret that may have several, as a key has.
    """
    metadata = {"spec": Spec(help, minimum, maximum, check, example, per_host, lines)}
    if isinstance(default, (dict, list)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def spec_of(field: dataclasses.Field[Any]) -> Spec:
    """What :func:`setting` was told."""
    spec: Spec = field.metadata.get("spec") or Spec("")
    return spec


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields, annotations resolved."""
    return typing.get_type_hints(cls)


def read(cls: type[T], host: Host, fetch: bool = True) -> T:
    """The settings of one class for ``host``, secrets fetched. Raises SettingsError with everything that is wrong."""
    values, errors = _values(cls, host, Converter(host.directory, fetch))
    if errors:
        raise combined(errors)
    return _made(cls, values, host)


def check_hosts(hosts: Iterable[Host], classes: Sequence[type]) -> None:
    """Look at every setting of every host, without fetching a secret. Raises SettingsError with all that is wrong."""
    errors: list[EncampError] = []
    for host in hosts:
        errors += unknown_keys(host, classes)
        for cls in classes:
            values, found = _values(cls, host, Converter(host.directory, fetch=False))
            errors += found
            if not found:
                try:
                    _made(cls, values, host)
                except SettingsError as error:
                    errors.append(error)
    if errors:
        raise combined(errors)


def given_secrets(host: Host, classes: Sequence[type]) -> list[Given]:
    """Where each secret of ``host`` comes from, with none of them fetched. Settings that are wrong are left out."""
    converter = Converter(host.directory, fetch=False)
    for cls in classes:
        _values(cls, host, converter)
    return converter.given


def check_own(own: Mapping[str, Origin], classes: Sequence[type]) -> None:
    """Look at the keys that an instance gives itself. Raises SettingsError for one that is the host's to give."""
    fields = [field for cls in classes for field in dataclasses.fields(cls)]
    hosts_own = {*SUPPORTED, *SITE_KEYS, *(field.name for field in fields if spec_of(field).per_host)}
    errors: list[EncampError] = [
        SettingsError(
            f"{name} is the same for all instances of a host", "set it for the host, beside instances:", where
        )
        for name, where in own.items()
        if name in hosts_own
    ]
    if errors:
        raise combined(errors)


def unknown_keys(host: Host, classes: Sequence[type]) -> list[SettingsError]:
    """An error for each variable of ``host`` that nothing reads, with the nearest name.

    Known are settings, ``ansible_`` variables, names that a template in the inventory uses, and names beginning x_.
    """
    settings = [field.name for cls in classes for field in dataclasses.fields(cls)]
    known = {*settings, *SUPPORTED, *SITE_KEYS}
    variables = host.variables
    known |= variables.references if isinstance(variables, Variables) else set()
    errors = []
    for name in variables:
        if name in known or name.startswith(FREE_PREFIX):
            continue
        import difflib

        near = difflib.get_close_matches(name, [*settings, *SITE_KEYS], 1)
        fix = f"did you mean {near[0]}?" if near else f"remove it, or call it {FREE_PREFIX}{name} to keep it"
        errors.append(SettingsError(f"there is no setting {name}", fix, _origin(host, name)))
    return errors


@record
class SettingDoc:
    """One setting for people: ``name`` (of a field inside a list or mapping: ``pools[].name``), type and default as
    YAML writes them, the role that declares it."""

    name: str
    type: str
    default: str
    help: str
    role: str
    example: str = ""


def describe(classes: Sequence[type]) -> list[SettingDoc]:
    """All settings of some classes in the order they were declared, those inside lists and mappings after their own."""
    return [doc for cls in classes for doc in _describe(cls, _area(cls.__module__), "")]


def _area(module: str) -> str:
    """What a class of settings is about: ``server`` for roles.server.role, ``network.tls`` for roles.network.tls."""
    _, *words = module.split(".")
    return ".".join(words[:-1] if words[-1] in ("role", "settings") else words)


def _describe(cls: type, role: str, prefix: str) -> Iterator[SettingDoc]:
    for field in dataclasses.fields(cls):
        spec, hint, name = spec_of(field), hints_of(cls)[field.name], prefix + field.name
        kind = type_name(hint) + limits(spec.minimum, spec.maximum)
        yield SettingDoc(name, kind, default_text(field), spec.help, role, spec.example)
        for mark, inner in inner_classes(hint):
            yield from _describe(inner, role, f"{name}{mark}.")


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


def _values(cls: type, host: Host, converter: Converter) -> tuple[dict[str, Any], list[EncampError]]:
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
            place = Place(field.name, value.origin, value.text, spec.lines)
            values[field.name] = converter.setting(hints_of(cls)[field.name], value.data, place, spec)
        except Invalid as error:
            errors.append(SettingsError(error.message, error.fix, error.origin))
        except InventoryError as error:
            errors.append(error)
    return values, errors


def _made(cls: type[T], values: dict[str, Any], host: Host) -> T:
    """The instance. A class may look at its fields together in ``__post_init__`` and raise ValueError that names them.

    The error is placed where the first of them that the host is given stands.
    """
    try:
        return cls(**values)
    except ValueError as error:
        text = str(error)
        named = sorted((found.start(), key) for key in values for found in [re.search(rf"\b{key}\b", text)] if found)
        where = _origin(host, named[0][1]) if named else None
        raise SettingsError(f"{host.name}: {text}", where=where) from None


def _origin(host: Host, name: str) -> Origin:
    variables = host.variables
    if isinstance(variables, Variables):
        return variables.origin(name)
    value: Value = variables[name]
    return value.origin
