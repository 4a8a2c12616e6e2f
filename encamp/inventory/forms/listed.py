"""Inventories as programs list them: JSON with groups, and the variables of all hosts below ``_meta``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from encamp.errors import InventoryError, Origin
from encamp.inventory.groups import META, Tree
from encamp.inventory.variables import Value
from encamp.inventory.yaml_document import located
from encamp.secrets.vault.values import Encrypted

_SECTIONS = ("hosts", "vars", "children")
_VAULT, _UNSAFE = "__ansible_vault", "__ansible_unsafe"
_SHAPE = 'it must print {"GROUP": {"hosts": [...], "vars": {...}, "children": [...]}, "_meta": {"hostvars": {...}}}'


class Listing:
    """What a program listed. ``program`` names it in messages, ``file`` is the inventory file that it stands for.

    ``references`` gathers the names that templates use; None: texts of this program are no templates.
    """

    def __init__(self, text: str, program: str, file: str, references: set[str] | None) -> None:
        self._program, self._file, self._references = program, file, references
        try:
            data = json.loads(text)
        except ValueError as error:
            raise self._error(f"what {program} printed is not JSON: {error}") from None
        except RecursionError:
            raise self._error(f"what {program} printed is nested too deeply") from None
        self._groups: Mapping[str, Any] = self._mapping(data, "its output")
        self._variables = self._host_variables()

    @property
    def hosts(self) -> list[str]:
        """All hosts that stand in a group, in the order in which they are named."""
        return list(dict.fromkeys(host for name in self._names for host in self._section(name)["hosts"]))

    @property
    def has_variables(self) -> bool:
        """Whether the program gave the variables of all hosts at once."""
        return self._variables is not None

    def add_to(self, tree: Tree, ask: Callable[[str], Mapping[str, Any]]) -> None:
        """Put it all into the tree. ``ask`` gives a host's variables where the listing has none. What the tree holds
        already keeps its place in a file. Raises InventoryError."""
        for name in self._names:
            section = self._section(name)
            group = tree.group(name)
            tree.add_hosts(name, section["hosts"], {}, self._file)
            tree.set_variables(name, self._new(section["vars"], group.variables))
            for child in section["children"]:
                tree.group(child)
                group.children[child] = None
        for host in self.hosts:
            given = ask(host) if self._variables is None else self._variables.get(host) or {}
            found = self._new(self._mapping(given, f"the variables of {host}"), tree.hosts[host])
            tree.hosts[host].update(found)

    @property
    def _names(self) -> list[str]:
        return [name for name in self._groups if name != META]

    def _section(self, name: str) -> Mapping[str, Any]:
        """A group with all its parts, whichever of the accepted shapes it has."""
        data = self._groups[name]
        if not isinstance(data, dict):
            data = {"hosts": data}
        elif not any(part in data for part in _SECTIONS):
            data = {"hosts": [name], "vars": data}
        hosts, children = (self._list(data.get(part, []), f"{name}.{part}") for part in ("hosts", "children"))
        return {"hosts": hosts, "children": children, "vars": self._mapping(data.get("vars", {}), f"{name}.vars")}

    def _host_variables(self) -> Mapping[str, Any] | None:
        meta = self._groups.get(META)
        found = None if meta is None else self._mapping(meta, META).get("hostvars")
        return None if found is None else self._mapping(found, f"{META}.hostvars")

    def _new(self, given: Mapping[str, Any], known: Mapping[str, Value]) -> dict[str, Value]:
        """The variables that say something which is not known yet."""
        origin = Origin(self._file)
        values = {
            name: Value(located(_plain(data), 0, self._references), origin, from_program=True)
            for name, data in given.items()
        }
        return {name: value for name, value in values.items() if name not in known or known[name].data != value.data}

    def _mapping(self, data: Any, what: str) -> Mapping[str, Any]:
        if isinstance(data, dict):
            return data
        raise self._error(f"{self._program}: {what} is not a mapping")

    def _list(self, data: Any, what: str) -> list[str]:
        if isinstance(data, list) and all(isinstance(item, str) and item for item in data):
            return data
        raise self._error(f"{self._program}: {what} is not a list of names")

    def _error(self, message: str) -> InventoryError:
        return InventoryError(message, _SHAPE, Origin(self._file))


def _plain(data: Any) -> Any:
    """Data without the marks by which Ansible writes encrypted and untrusted texts."""
    if isinstance(data, dict) and len(data) == 1:
        kind, text = next(iter(data.items()))
        if kind == _VAULT and isinstance(text, str):
            return Encrypted(text)
        if kind == _UNSAFE:
            return text
    if isinstance(data, dict):
        return {key: _plain(item) for key, item in data.items()}
    return [_plain(item) for item in data] if isinstance(data, list) else data
