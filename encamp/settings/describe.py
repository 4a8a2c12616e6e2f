"""Settings described for people: the reference and `fab settings`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from encamp.settings.declare import hints_of, spec_of
from encamp.settings.type_names import default_text, inner_classes, limits, type_name
from encamp.shared.record import record


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
