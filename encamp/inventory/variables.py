"""A host's variables with their Jinja rendered on first use, each with the place it was written in."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

from encamp.errors import InventoryError, Origin
from encamp.inventory import lookups
from encamp.inventory.connection_names import written
from encamp.inventory.yaml_document import LocatedDict, LocatedList, Template, Untyped
from encamp.secrets.vault.opening import decrypt
from encamp.secrets.vault.values import (
    Decrypted,
    DecryptedScalar,
    Derived,
    Encrypted,
    VaultError,
    holds_secret,
    with_types,
)
from encamp.shared.record import record

if TYPE_CHECKING:
    from jinja2 import Environment

_ABSENT = {
    "hostvars": "write hostvars['NAME'].variable, with the name of a host of this inventory",
    "ansible_facts": "facts are not gathered; write the value into the inventory",
    "playbook_dir": "there is no playbook; write {{ inventory_dir }}/..",
    "omit": "leave the variable out instead",
}


@record
class Value:
    """A variable's value and where it was written. ``text``: what was typed, where the form has no types (``--set``,
    INI). ``from_program``: a script or plugin said it, whose variables are not written for encamp."""

    data: Any
    origin: Origin
    text: str | None = None
    from_program: bool = False


class TemplateView(Mapping[str, Any]):
    """The variables of a host as a template of another sees them. ``met`` is given each value that it looks at."""

    def __init__(self, variables: Variables, met: Callable[[Any], Any]) -> None:
        self._variables, self._met = variables, met

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __getitem__(self, name: str) -> Any:
        return self._met(self._variables.meaning(name))


class Variables(Mapping[str, Value]):
    """Variables of one host. Reading one renders it; raises InventoryError at the line of the value at fault.

    ``references`` are the names that templates anywhere in the inventory use; ``fleet`` the variables of all hosts.
    A variable that Ansible knows by several names is found by the usual one, whichever of them was written.
    """

    def __init__(
        self,
        raw: Mapping[str, Value],
        magic: Mapping[str, Any] | None = None,
        references: Set[str] = frozenset(),
        fleet: Mapping[str, Variables] | None = None,
        decided: Set[str] = frozenset(),
    ) -> None:
        self._raw, self._magic, self.references = raw, dict(magic or {}), references
        self._fleet = {} if fleet is None else fleet
        self._decided = decided
        self._written = written(raw, decided)
        self._ready: dict[str, Value] = {}
        self._open: list[str] = []
        self._met_secret = False

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __contains__(self, name: object) -> bool:
        return name in self._raw or name in self._written

    def __getitem__(self, name: str) -> Value:
        name = self._written.get(name, name)
        if name not in self._ready:
            self._ready[name] = self._rendered(name, self._raw[name])
        return self._ready[name]

    def origin(self, name: str) -> Origin:
        """Where a variable was written, without rendering it. Raises KeyError."""
        return self.raw(name).origin

    def raw(self, name: str) -> Value:
        """A variable as it was written, its templates not rendered. Raises KeyError."""
        return self._raw[self._written.get(name, name)]

    def extended(self, more: Mapping[str, Value]) -> Variables:
        """The same variables with ``more`` on top, whatever other names they have."""
        decided = self._decided | set(more)
        return Variables({**self._raw, **more}, self._magic, self.references, self._fleet, decided)

    def look_up(self, name: str) -> Any:
        """What ``name`` is inside a template of this host. Raises KeyError when nothing has that name."""
        return self._met(self.meaning(name))

    def meaning(self, name: str) -> Any:
        """What ``name`` means inside a template; secrets are known as such. Raises KeyError."""
        if name == "hostvars" and self._fleet:
            return {host: TemplateView(variables, self._met) for host, variables in self._fleet.items()}
        if name in ("lookup", "query", "q"):
            return functools.partial(self._look_outside, name != "lookup")
        return self._magic[name] if name in self._magic else self[name].data

    def _met(self, data: Any) -> Any:
        """The same value, as a template computes with it. What it makes of a secret is one, too."""
        if not holds_secret(data):
            return data
        self._met_secret = True
        return with_types(data)

    def _look_outside(self, as_list: bool, plugin: str, *terms: str, **options: Any) -> Any:
        """Ansible's ``lookup`` and ``query``, for what can be known without a host. Raises InventoryError."""
        origin = self._raw[self._open[-1]].origin
        try:
            found = [self._met(item) for item in lookups.find(plugin, terms, options, self._magic, self)]
        except ValueError as error:
            raise InventoryError(f"{self._open[-1]}: {error}", lookups.HOW, origin) from None
        if as_list or options.get("wantlist"):
            return found
        return found[0] if len(found) == 1 else ",".join(map(str, found))

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

        before, self._met_secret = self._met_secret, False
        try:
            result = _environment().from_string(str(text)).render({_SELF: self})
        except InventoryError:
            raise
        except jinja2.UndefinedError as error:
            missing = re.match("'(.+)' is undefined$", str(error.message))
            if missing:
                raise self._undefined(missing[1], name, origin) from None
            other = re.search("TemplateView object' has no attribute '(.+)'$", str(error.message))
            if other:
                raise self._undefined(f"{other[1]} of another host", name, origin) from None
            raise _unrendered(error, text, name, origin, self._met_secret) from None
        except Exception as error:  # an expression may fail in any way: 1 / 0, a filter given the wrong type
            raise _unrendered(error, text, name, origin, self._met_secret) from None
        finally:
            secret, self._met_secret = self._met_secret, before or self._met_secret
        if isinstance(text, Decrypted) and isinstance(result, str):
            return Decrypted(result)
        if secret or isinstance(text, Decrypted):
            return _marked(result)
        return Untyped(result) if isinstance(result, str) and not isinstance(result, Decrypted) else result

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


def _unrendered(error: Exception, text: str, name: str, origin: Origin, secret: bool) -> InventoryError:
    """The error for a template that fails. Of one out of an encrypted file neither text nor reason is repeated, of one
    that uses a ``secret`` no reason."""
    if isinstance(text, Decrypted):
        message = f"the encrypted template fails ({type(error).__name__})"
        return InventoryError(f"{name}: {message}", "correct it with `ansible-vault edit`", origin)
    if secret:
        message = f"the template, which uses an encrypted value, fails ({type(error).__name__})"
        return InventoryError(f"{name}: {message}", f"correct the template: {text}", origin)
    reason = getattr(error, "message", None) or error
    return InventoryError(f"{name}: {reason}", f"correct the template: {text}", origin)


def _marked(data: Any) -> Any:
    """What a template made of a secret: all in it is secret."""
    if isinstance(data, str):
        return data if isinstance(data, Decrypted) else Derived(data)
    if isinstance(data, Mapping):
        return {_marked(key): _marked(item) for key, item in data.items()}
    return [_marked(item) for item in data] if isinstance(data, (list, tuple)) else DecryptedScalar.of(data)


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
    values = list(parts)
    if len(values) != 1:
        text = "".join(str(value) for value in values)
        secrets = [value for value in values if isinstance(value, Decrypted)]
        if not secrets:
            return text
        return Derived(text) if all(isinstance(value, Derived) for value in secrets) else Decrypted(text)
    _require_defined(values[0])
    return values[0]


def _require_defined(data: Any) -> None:
    """Raises UndefinedError for a strict undefined value that was never printed, alone or in a list or mapping."""
    from jinja2 import Undefined

    if isinstance(data, Undefined):
        str(data)
    elif isinstance(data, dict):
        _require_defined([*data, *data.values()])
    elif isinstance(data, (list, tuple, set)):
        for item in data:
            _require_defined(item)
