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
    YAML writes them."""

    name: str
    type: str
    default: str
    help: str
    example: str = ""


def describe(classes: Sequence[type]) -> list[SettingDoc]:
    """All settings of some classes in the order they were declared, those inside lists and mappings after their own."""
    return [doc for cls in classes for doc in _describe(cls, "")]


def _describe(cls: type, prefix: str) -> Iterator[SettingDoc]:
    for field in dataclasses.fields(cls):
        spec, hint, name = spec_of(field), hints_of(cls)[field.name], prefix + field.name
        kind = type_name(hint) + limits(spec.minimum, spec.maximum)
        yield SettingDoc(name, kind, default_text(field), spec.help, spec.example)
        for mark, inner in inner_classes(hint):
            yield from _describe(inner, f"{name}{mark}.")
