"""Types and defaults in words that an operator knows, for references and messages."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union

from encamp.shared.secret import Secret

_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Secret: "secret",
    bytes: "bytes",
    Any: "anything",
    type(None): "nothing",
}
_UNIONS: tuple[Any, ...] = (Union, types.UnionType)


def type_name(hint: Any) -> str:
    """``tuple[str, ...]`` as "list of text"."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in inner)
    if origin in _UNIONS:
        return " or ".join(dict.fromkeys(type_name(item) for item in inner))
    if _is_list(origin):
        return f"list of {type_name(inner[0])}"
    if _is_mapping(origin):
        return f"mapping of {type_name(inner[0])} to {type_name(inner[1])}"
    return str(getattr(hint, "__name__", hint))


def limits(minimum: float | None, maximum: float | None) -> str:
    """Limits behind a type: ", 1 to 65535"; empty when there are none."""
    if minimum is not None and maximum is not None:
        return f", {minimum} to {maximum}"
    if minimum is not None:
        return f", {minimum} or more"
    return f", {maximum} or less" if maximum is not None else ""


def default_text(field: dataclasses.Field[Any]) -> str:
    """A field's default as YAML writes it; "required" when there is none."""
    if field.default_factory is not dataclasses.MISSING:
        return yaml_text(field.default_factory())
    return "required" if field.default is dataclasses.MISSING else yaml_text(field.default)


def yaml_text(value: Any) -> str:
    """A value as one would write it in YAML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, str):
        return f'"{value}"' if not value or _reads_otherwise(value) else value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{yaml_text(key)}: {yaml_text(item)}" for key, item in value.items()) + "}"
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, Secret)):
        own = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return yaml_text({key: item for key, item in own.items() if item != getattr(type(value), key, None)})
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(yaml_text(item) for item in value) + "]"
    return str(value)


def inner_classes(hint: Any) -> Iterator[tuple[str, type]]:
    """Dataclasses inside a type, each with the mark that a path to its fields needs: ``[]`` or ``.<name>``."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield "", hint
    elif _is_list(origin) or _is_mapping(origin):
        mark = "[]" if _is_list(origin) else ".<name>"
        yield from ((mark + below, found) for below, found in inner_classes(inner[-1 if mark != "[]" else 0]))
    elif origin in _UNIONS:
        for item in inner:
            yield from inner_classes(item)


def _is_list(origin: Any) -> bool:
    return origin in (tuple, list) or getattr(origin, "__name__", "") == "Sequence"


def _is_mapping(origin: Any) -> bool:
    return origin in (dict, Mapping)


def _reads_otherwise(value: str) -> bool:
    """Whether YAML would read the bare text as something else than this text."""
    from encamp.errors import InventoryError
    from encamp.inventory.yaml_document import typed

    try:
        return bool(typed(value, "") != value)
    except InventoryError:
        return True
