"""From what YAML gave to the type that a setting declares. Nothing is guessed; each refusal says what to do."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union

from encamp.errors import OVERRIDE, InventoryError, Origin
from encamp.inventory.yaml_document import LocatedDict, LocatedList, Untyped, typed
from encamp.secrets import sources as secret_sources
from encamp.secrets.vault.values import VEIL, Decrypted, Derived, holds_secret, veiled
from encamp.settings import scalars
from encamp.settings.declare import Spec, hints_of, spec_of
from encamp.settings.scalars import Invalid, ValuePath
from encamp.settings.type_names import type_name
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.shared.secret_names import may_be_secret
from encamp.support import quoting

#: Stands for a secret that was looked at but not fetched.
UNREAD = Secret("not fetched")


@record
class Given:
    """A secret that an operator gives: its setting, where that is written, and its source (None: a vault's text)."""

    key: str
    origin: Origin
    source: secret_sources.Source | None

    @property
    def field(self) -> str:
        """The setting that holds it: ``pools`` for ``pools[0].password``."""
        return re.split(r"[.\[]", self.key, maxsplit=1)[0]


class Converter:
    """Converts values for one host. ``directory`` is its inventory's, ``fetch`` whether secrets are fetched.

    ``given`` are the secrets that were met.
    """

    def __init__(self, directory: str = "", fetch: bool = True) -> None:
        self._directory, self._fetch = directory, fetch
        self.given: list[Given] = []

    def setting(self, hint: Any, data: Any, place: ValuePath, spec: Spec) -> Any:
        """One setting, its limits and its own check applied. Raises Invalid."""
        value = self.convert(hint, data, place)
        _check_limits(value, place, spec, isinstance(data, Decrypted))
        problem = _problem(value, spec)
        if problem and (holds_secret(value) or isinstance(data, Decrypted)):
            raise Invalid(place, "is encrypted, and the decrypted text is not a valid value", spec.help)
        if problem:
            fix = f"for example {place.key}: {spec.example}" if spec.example else spec.help
            shown = scalars.shown(value) if isinstance(value, (str, int, float)) else "wrong"
            raise Invalid(place, f"is {shown}: {problem}", fix)
        return value

    def convert(self, hint: Any, data: Any, place: ValuePath) -> Any:
        """``data`` as ``hint`` says. Raises Invalid."""
        origin = typing.get_origin(hint)
        if hint is Any:
            return data
        if hint is Secret:
            return self._secret(data, place)
        if origin in (Union, types.UnionType):
            return self._union(typing.get_args(hint), data, place)
        if hint is str:
            return scalars.text(data, place)
        if isinstance(data, Derived):
            return self._derived(hint, data, place)
        if isinstance(data, Decrypted):
            reason = f"must be {type_name(hint)}, and an encrypted value is always a string"
            raise Invalid(place, reason, "write it unencrypted")
        data = _retyped(data, place)
        if data is None:
            raise Invalid(place, "has no value", "give it a value, or remove the line")
        if origin is Literal:
            return scalars.choice(typing.get_args(hint), data, place)
        if origin is tuple:
            return self._items(typing.get_args(hint)[0], data, place)
        if origin in (dict, Mapping) or hint is dict:
            return self._mapping((typing.get_args(hint) or (str, Any))[1], data, place)
        if dataclasses.is_dataclass(hint):
            return self._nested(hint, data, place)
        return scalars.plain(hint, data, place)

    def _derived(self, hint: Any, data: Derived, place: ValuePath) -> Any:
        """What was made with a secret, or came from the environment: of any type, but no message repeats it."""
        try:
            return self.convert(hint, _retyped(Untyped(data), place), place)
        except Invalid:
            reason = f"must be {type_name(hint)}; the value comes from a secret or the environment and is not shown"
            raise Invalid(place, reason) from None

    def _union(self, hints: tuple[Any, ...], data: Any, place: ValuePath) -> Any:
        """The first type that fits. A mapping can only be a secret's source where a secret is among the types."""
        rest = [hint for hint in hints if hint is not type(None)]
        if data is None and len(rest) < len(hints):
            return None
        if Secret in rest and isinstance(_source(data, place), (dict, Decrypted)):
            return self._secret(data, place)
        rest = [hint for hint in rest if hint is not Secret] or rest
        for hint in rest[:-1]:
            try:
                return self.convert(hint, data, place)
            except Invalid:
                continue
        try:
            return self.convert(rest[-1], data, place)
        except Invalid:
            if Secret not in hints or rest[-1] is Secret:
                raise
            # Perhaps a secret in the wrong place: the message must not repeat it.
            words = [str(word) for hint in rest if typing.get_origin(hint) is Literal for word in typing.get_args(hint)]
            known = ", ".join(words) or "a text in quotes"
            reason = f"must be {known} or a secret's source, and no secret as plain text"
            raise Invalid(place, reason, secret_sources.HOW) from None

    def _secret(self, data: Any, place: ValuePath) -> Any:
        if isinstance(place.text, Decrypted):
            data = place.text  # a password of digits in an encrypted INI file
        data = _source(data, place)
        if isinstance(data, Decrypted):
            self.given.append(Given(place.key, place.origin, None))
            return _checked_secret(Secret(str(data)), place)
        try:
            source = secret_sources.parse(data)
            self.given.append(Given(place.key, place.origin, source))
            return _checked_secret(secret_sources.fetch(source, self._directory), place) if self._fetch else UNREAD
        except ValueError as error:
            if isinstance(data, str) and place.origin.is_override:
                reason = "must not be on the command line, which every user of this machine can read"
                raise Invalid(place, reason, f"{OVERRIDE} '{place.key}={{env: NAME}}' names its source") from None
            raise Invalid(place, str(error), secret_sources.HOW) from None

    def _items(self, hint: Any, data: Any, place: ValuePath) -> tuple[Any, ...]:
        if isinstance(data, str):
            fix = "" if holds_secret(data) else f"write it as [{data}]"
            raise Invalid(place, f"must be a list, not the text {scalars.shown(data)}", fix)
        if not isinstance(data, (list, tuple)):
            raise Invalid(
                place, f"must be a list, not {scalars.shown(data)}", "write it as [one, two], or as lines with a dash"
            )
        lines = data.lines if isinstance(data, LocatedList) else [0] * len(data)
        return tuple(
            self.convert(hint, item, place.below(f"[{at}]", line))
            for at, (item, line) in enumerate(zip(data, lines, strict=True))
        )

    def _mapping(self, hint: Any, data: Any, place: ValuePath) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise Invalid(
                place, f"must be a mapping, not {scalars.shown(data)}", "write it as `name: value` lines below it"
            )
        found = {}
        for key, item in data.items():
            here = place.below(f".{key}", _line(data, key))
            name, value = scalars.text(key, here), self.convert(hint, item, here)
            # A password as plain text is accepted here: the variables are the operator's own. It is not shown.
            hidden = isinstance(value, str) and Secret in typing.get_args(hint) and may_be_secret(name, value)
            found[name] = Secret(value) if hidden else value
        return found

    def _nested(self, cls: Any, data: Any, place: ValuePath) -> Any:
        """A dataclass inside a setting: the same rules for its fields."""
        if not isinstance(data, dict):
            raise Invalid(
                place, f"must be a mapping, not {scalars.shown(data)}", "write it as `name: value` lines below it"
            )
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values = {}
        for key, item in data.items():
            here = place.below(f".{key}", _line(data, key))
            if key not in fields:
                raise Invalid(here, "is unknown", scalars.nearest(str(key), fields))
            spec = spec_of(fields[key])
            here = place.below(f".{key}", _line(data, key), spec.lines)
            values[key] = self.setting(hints_of(cls)[key], item, here, spec)
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and name not in data:
                raise Invalid(place, f"needs {name}", spec_of(field).help)
        try:
            return cls(**values)
        except ValueError as error:
            raise Invalid(place, f"is wrong: {veiled(str(error), values)}") from None


def _checked_secret(secret: Secret, place: ValuePath) -> Secret:
    """The secret, unless it holds what no password can be. Raises Invalid, which does not repeat it."""
    problem = None if place.lines else quoting.invalid_characters(secret.reveal())
    if problem:
        raise Invalid(place, f"holds {problem}", "make its source return one line of plain text")
    return secret


def _line(data: Any, key: Any) -> int:
    return data.lines.get(key, 0) if isinstance(data, LocatedDict) else 0


def _source(data: Any, place: ValuePath) -> Any:
    """A secret's source that INI holds as text: ``{env: NAME}``."""
    return _retyped(data, place) if isinstance(data, Untyped) and data.startswith("{") else data


def _retyped(data: Any, place: ValuePath) -> Any:
    """A text that a template made, or that INI holds, has no type of its own: read it as YAML would."""
    if not isinstance(data, Untyped):
        return data
    try:
        return typed(str(data), place.origin.file)
    except InventoryError:
        return str(data)


def _problem(value: Any, spec: Spec) -> str | None:
    """What a setting's own check says. One that takes a text apart may stumble over it: that is a problem, too."""
    try:
        return spec.check(value) if spec.check and not isinstance(value, Secret) else None
    except ValueError as error:
        return str(error)


def _check_limits(value: Any, place: ValuePath, spec: Spec, hidden: bool) -> None:
    numbers = value if isinstance(value, tuple) else (value,)
    for number in numbers:
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            continue
        if spec.minimum is not None and number < spec.minimum:
            raise Invalid(place, f"is {VEIL if hidden else number}, but must be {_range(spec)}")
        if spec.maximum is not None and number > spec.maximum:
            raise Invalid(place, f"is {VEIL if hidden else number}, but must be {_range(spec)}")


def _range(spec: Spec) -> str:
    if spec.minimum is not None and spec.maximum is not None:
        return f"from {spec.minimum} to {spec.maximum}"
    return f"{spec.minimum} or more" if spec.minimum is not None else f"{spec.maximum} or less"
