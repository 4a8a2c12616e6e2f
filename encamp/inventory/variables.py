"""A host's variables with their Jinja rendered on first use, each with the place it was written in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

from encamp.errors import InventoryError, Origin
from encamp.inventory.yaml_document import LocatedDict, LocatedList, Template
from encamp.secrets.vault.opening import decrypt
from encamp.secrets.vault.values import Decrypted, Encrypted, VaultError
from encamp.shared.record import record

if TYPE_CHECKING:
    from jinja2 import Environment

_ABSENT = {
    "lookup": "Ansible lookups are not available; give a secret as {env: NAME}, {file: path} or {command: [program]}",
    "query": "Ansible lookups are not available; give a secret as {env: NAME}, {file: path} or {command: [program]}",
    "hostvars": "only variables of the same host can be used; put a shared value under all: vars:",
    "groups": "only variables of the same host, inventory_hostname and group_names can be used",
    "ansible_facts": "facts are not gathered; write the value into the inventory",
    "omit": "leave the variable out instead",
}


@record
class Value:
    """A variable's value and where it was written. ``text`` is set where it came without a type (``--set``)."""

    data: Any
    origin: Origin
    text: str | None = None


class Rendered(str):
    """A text that Jinja rendered: where a number or a list is expected, it is read as YAML."""


class Variables(Mapping[str, Value]):
    """Variables of one host. Reading one renders it; raises InventoryError at the line of the value at fault.

    ``references`` are the names that templates anywhere in the inventory use.
    """

    def __init__(
        self,
        raw: Mapping[str, Value],
        magic: Mapping[str, Any] | None = None,
        references: Set[str] = frozenset(),
    ) -> None:
        self._raw, self._magic, self.references = raw, dict(magic or {}), references
        self._ready: dict[str, Value] = {}
        self._open: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __getitem__(self, name: str) -> Value:
        if name not in self._ready:
            self._ready[name] = self._rendered(name, self._raw[name])
        return self._ready[name]

    def origin(self, name: str) -> Origin:
        """Where a variable was written, without rendering it. Raises KeyError."""
        return self._raw[name].origin

    def raw(self, name: str) -> Value:
        """A variable as it was written, its templates not rendered. Raises KeyError."""
        return self._raw[name]

    def extended(self, more: Mapping[str, Value]) -> Variables:
        """The same variables with ``more`` on top."""
        return Variables({**self._raw, **more}, self._magic, self.references)

    def look_up(self, name: str) -> Any:
        """What ``name`` means inside a template. Raises KeyError when nothing has that name."""
        return self._magic[name] if name in self._magic else self[name].data

    def _rendered(self, name: str, value: Value) -> Value:
        if not _holds_template(value.data):
            return value
        if name in self._open:
            chain = " -> ".join([*self._open[self._open.index(name) :], name])
            raise InventoryError(f"{name} refers to itself: {chain}", "break the circle", value.origin)
        self._open.append(name)
        try:
            return Value(self._render(value.data, name, value.origin), value.origin)
        finally:
            self._open.pop()

    def _render(self, data: Any, name: str, origin: Origin) -> Any:
        if isinstance(data, Template):
            return self._render_text(data, name, origin)
        if isinstance(data, Encrypted):
            return _unlocked(data, name, origin)
        if isinstance(data, LocatedDict):
            mapping = LocatedDict(data.line)
            mapping.lines = data.lines
            for key, item in data.items():
                mapping[key] = self._render(item, name, Origin(origin.file, data.lines[key]))
            return mapping
        if isinstance(data, LocatedList):
            items = LocatedList(data.line)
            items.lines = data.lines
            items += [self._render(data[at], name, Origin(origin.file, line)) for at, line in enumerate(data.lines)]
            return items
        return data

    def _render_text(self, text: str, name: str, origin: Origin) -> Any:
        import jinja2

        try:
            result = _environment().from_string(str(text)).render({_SELF: self})
        except InventoryError:
            raise
        except jinja2.UndefinedError as error:
            missing = re.match("'(.+)' is undefined$", str(error.message))
            if missing:
                raise self._undefined(missing[1], name, origin) from None
            raise _unrendered(error, text, name, origin) from None
        except Exception as error:  # an expression may fail in any way: 1 / 0, a filter given the wrong type
            raise _unrendered(error, text, name, origin) from None
        if not isinstance(result, str) or isinstance(result, Decrypted):
            return result
        return Decrypted(result) if isinstance(text, Decrypted) else Rendered(result)

    def _undefined(self, missing: str, name: str, origin: Origin) -> InventoryError:
        fix = _ABSENT.get(missing, "")
        if not fix:
            import difflib

            near = difflib.get_close_matches(missing, [*self._raw, *self._magic], 1)
            fix = f"did you mean {near[0]}?" if near else "define it, or give a default: {{ name | default('value') }}"
        return InventoryError(f"{name}: the template uses {missing}, which is not set for this host", fix, origin)


_SELF = "variables of the host"
_made: list[Environment] = []


def _holds_template(data: Any) -> bool:
    if isinstance(data, LocatedDict):
        return any(_holds_template(item) for item in data.values())
    if isinstance(data, LocatedList):
        return any(_holds_template(item) for item in data)
    return isinstance(data, (Template, Encrypted))


def _unrendered(error: Exception, text: str, name: str, origin: Origin) -> InventoryError:
    """The error for a template that fails. Of one out of an encrypted file neither text nor reason is repeated."""
    if isinstance(text, Decrypted):
        message = f"the encrypted template fails ({type(error).__name__})"
        return InventoryError(f"{name}: {message}", "correct it with `ansible-vault edit`", origin)
    reason = getattr(error, "message", None) or error
    return InventoryError(f"{name}: {reason}", f"correct the template: {text}", origin)


def _unlocked(data: str, name: str, origin: Origin) -> Decrypted:
    try:
        return Decrypted(decrypt(data))
    except VaultError as error:
        raise InventoryError(f"{name} {error}", error.fix, origin) from None


def _environment() -> Environment:
    """The Jinja environment, made when the first template is met: importing Jinja takes longer than all the rest."""
    if not _made:
        _made.append(_new_environment())
    return _made[0]


def _new_environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.nativetypes import NativeEnvironment, NativeTemplate
    from jinja2.runtime import Context

    class LazyContext(Context):
        """Looks names up in the host's variables one by one, so that only what a template uses is rendered."""

        def resolve_or_missing(self, key: str) -> Any:
            try:
                return self.parent[_SELF].look_up(key)
            except KeyError:
                return super().resolve_or_missing(key)

    class Values(NativeEnvironment):
        """A template that is one expression keeps that expression's type, as in Ansible; all else is text."""

        context_class = LazyContext
        concat = staticmethod(_joined)  # type: ignore[assignment]

    class ValueTemplate(NativeTemplate):
        environment_class = Values

    Values.template_class = ValueTemplate
    return Values(undefined=StrictUndefined)


def _joined(parts: Any) -> Any:
    from jinja2 import Undefined

    values = list(parts)
    if len(values) != 1:
        text = "".join(str(value) for value in values)
        return Decrypted(text) if any(isinstance(value, Decrypted) for value in values) else text
    if isinstance(values[0], Undefined):
        str(values[0])  # raises: a strict undefined value that is the whole text was never printed
    return values[0]
