"""Inventories in INI: ``[group]``, ``[group:children]``, ``[group:vars]``, and hosts with ``name=value`` behind them.

A value is a Python literal if it reads as one (``80``, ``True``, ``['a']``), else text, in host lines and below
``:vars`` alike: so does Ansible's ``ini`` plugin. A setting that wants text gets what was typed: ``3.10`` stays that.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from typing import Any

from encamp.errors import InventoryError, Origin
from encamp.inventory.groups import Tree, addresses
from encamp.inventory.variables import Value
from encamp.inventory.yaml_document import Source, Template, Untyped, as_text, located
from encamp.secrets.vault.values import Decrypted, DecryptedScalar, Derived

_SECTION = r"\[(?P<group>[^:\]\s]+)(?::(?P<kind>\w+))?\]\s*(?:#.*)?"
_CHILD = r"(?P<group>[^:\]\s]+)\s*(?:#.*)?"
_KINDS = ("hosts", "children", "vars")
_PLAIN = (str, int, float, bool, type(None), list, tuple, set, dict)


def read(tree: Tree, source: Source, references: set[str]) -> None:
    """Add a file to the tree. Raises InventoryError at the line of whatever cannot be read."""
    _Reader(tree, source, references).read()


def has_sections(text: str) -> bool:
    """Whether a text has a line like ``[group]``, as nothing else that people keep in a folder has."""
    return any(re.fullmatch(_SECTION, line.strip()) for line in text.splitlines())


class _Reader:
    """Reads one file. ``_awaited`` are groups that a section named before they are declared: where, and by whom."""

    def __init__(self, tree: Tree, source: Source, references: set[str]) -> None:
        self._tree, self._source, self._references = tree, source, references
        self._group, self._kind, self._line = "ungrouped", "hosts", 0
        self._awaited: dict[str, tuple[int, list[str]]] = {}

    def read(self) -> None:
        for number, text in enumerate(self._source.text.splitlines(), 1):
            self._line, line = number, text.strip()
            if line and line[0] not in "#;":
                self._read_line(line)
        for name, (at, parents) in self._awaited.items():
            self._line = at
            named = f"[{parents[-1]}:children] names" if parents else "[...:vars] belongs to"
            raise self._error(f"{named} the group {name}, which is declared nowhere", f"add a line [{name}]")

    def _read_line(self, line: str) -> None:
        section = re.fullmatch(_SECTION, line)
        if section:
            self._begin(section["group"], section["kind"] or "hosts")
        elif line.startswith("[") and line.endswith("]"):
            raise self._error(f"{line} is not a section", "write [group], [group:children] or [group:vars]")
        elif self._kind == "hosts":
            self._read_host(line)
        elif self._kind == "vars":
            name, value = self._assigned(line)
            self._tree.set_variables(self._group, {name.strip(): self._value(value.strip())})
        else:
            self._read_child(line)

    def _begin(self, group: str, kind: str) -> None:
        if kind not in _KINDS:
            raise self._error(f"[{group}:{kind}]: there is no section {kind}", f"write one of {', '.join(_KINDS)}")
        self._group, self._kind = group, kind
        if kind == "vars" and group not in self._tree.groups:
            self._awaited.setdefault(group, (self._line, []))
        self._tree.group(group)
        if kind != "vars":
            _, parents = self._awaited.pop(group, (0, []))
            for parent in parents:
                self._tree.groups[parent].children[group] = None

    def _read_child(self, line: str) -> None:
        found = re.fullmatch(_CHILD, line)
        if not found:
            fix = f"write one group per line; hosts belong below [{self._group}]"
            raise self._error(f"{line} is not the name of a group", fix)
        if found["group"] in self._tree.groups:
            self._tree.groups[self._group].children[found["group"]] = None
        else:
            self._awaited.setdefault(found["group"], (self._line, []))[1].append(self._group)

    def _read_host(self, line: str) -> None:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            raise self._error("a quote that is never closed", "close it, or put quotes around the value") from None
        if not words or not words[0]:
            raise self._error("a host without a name", "write the name first")
        if words[0] == "---":
            raise self._error("--- begins a YAML file", "name the file with .yml at its end, or remove the line")
        own = {}
        for word in words[1:]:
            name, value = self._assigned(word)
            own[name] = self._value(value)
        names, port = self._addresses(words[0])
        behind = None if port is None else Value(port, self._origin)
        self._tree.add_hosts(self._group, names, own, self._source.file, behind)

    def _addresses(self, written: str) -> tuple[list[str], int | None]:
        try:
            names, port = addresses(written)
        except ValueError as error:
            raise self._error(str(error), "write it like web[01:20] or db-[a:f]") from None
        if written.endswith(":") and port is None:
            raise self._error(f"{written} ends in a colon", "remove it, or write a port behind it")
        return names, port

    def _assigned(self, text: str) -> tuple[str, str]:
        """Name and value of ``name=value``. A value in the wrong place may be a secret: nothing of it is shown."""
        name, equals, value = text.partition("=")
        if not equals:
            fix = "write name=value, without spaces around =, and quotes around a value with spaces"
            place = f"[{self._group}:vars]" if self._kind == "vars" else "a host's line"
            raise self._error(f"a word in {place} that is not name=value", fix)
        return name, value

    def _value(self, text: str) -> Value:
        data, from_vault = _literal(text), self._source.from_vault
        if not isinstance(data, str):
            typed = re.sub(r"\s+#.*", "", text)
            held = located(data, self._line, self._references, from_vault)
            held = DecryptedScalar(typed, data) if isinstance(held, DecryptedScalar) else held
            return Value(held, self._origin, Decrypted(typed) if from_vault else typed)
        found = as_text(data, self._references, from_vault)
        if not isinstance(found, Template):
            found = Derived(found) if from_vault else Untyped(found)
        return Value(found, self._origin)

    @property
    def _origin(self) -> Origin:
        return Origin(self._source.file, self._line)

    def _error(self, message: str, fix: str) -> InventoryError:
        return InventoryError(message, fix, self._origin)


def _literal(text: str) -> Any:
    """What Python makes of a value; the text itself where that is nothing an inventory can hold."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            data = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    if isinstance(data, bytes):
        return data.decode("utf-8", "surrogateescape")
    return data if isinstance(data, _PLAIN) else text
