"""An inventory for people and programs, as ``ansible-inventory`` shows it: a graph of its groups, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from encamp.errors import InventoryError
from encamp.inventory.groups import Group
from encamp.inventory.load import Inventory
from encamp.inventory.variables import Value, Variables
from encamp.secrets.vault.values import VEIL, Decrypted, Encrypted


def redacted(data: Any) -> Any:
    """A value with nothing in it that came out of a vault or is still in one."""
    if isinstance(data, (Decrypted, Encrypted)):
        return VEIL
    if isinstance(data, str):
        return str(data)  # without what it was made of: YAML's parser takes no kind of text but the plain one
    if isinstance(data, Mapping):
        return {redacted(key): redacted(item) for key, item in data.items()}
    return [redacted(item) for item in data] if isinstance(data, (list, tuple)) else data


def graph(inventory: Inventory, group: str = "all", variables: bool = False) -> list[str]:
    """The lines of ``ansible-inventory --graph``, from ``group`` down. Raises KeyError."""
    return list(_group_lines(inventory, inventory.tree.groups[group], 0, variables))


def as_json(inventory: Inventory) -> str:
    """The JSON of ``ansible-inventory --list``."""
    groups = {name: _listed(group) for name, group in inventory.tree.groups.items()}
    hosts = {name: host_variables(inventory, name) for name in inventory.hosts}
    found: dict[str, Any] = {name: listed for name, listed in groups.items() if listed}
    found["_meta"] = {"hostvars": {name: values for name, values in hosts.items() if values}}
    return json.dumps(_textual(found), sort_keys=True, indent=4, default=str)


def host_variables(inventory: Inventory, name: str) -> dict[str, Any]:
    """All that holds for a host, rendered; as it was written where that fails."""
    values = inventory.hosts[name].variables
    return {key: redacted(_rendered(values, key)) for key in sorted(values)}


def faults(inventory: Inventory) -> list[InventoryError]:
    """What is wrong with values: files that cannot be read, templates that cannot be rendered."""
    found = [fault.error for fault in inventory.faults]
    for host in inventory.hosts.values():
        for key in host.variables:
            try:
                host.variables[key]
            except InventoryError as error:
                found.append(error)
    return found


def _rendered(values: Mapping[str, Value], key: str) -> Any:
    try:
        return values[key].data
    except InventoryError:
        return values.raw(key).data if isinstance(values, Variables) else None


def _group_lines(inventory: Inventory, group: Group, depth: int, variables: bool) -> Iterator[str]:
    yield _line(f"@{group.name}:", depth)
    for child in group.children:
        yield from _group_lines(inventory, inventory.tree.groups[child], depth + 1, variables)
    for host in group.hosts if group.name != "all" else ():
        yield _line(host, depth + 1)
        if variables:
            yield from _variable_lines(host_variables(inventory, host), depth + 2)
    if variables:
        yield from _variable_lines(_own(inventory, group), depth + 1)


def _own(inventory: Inventory, group: Group) -> dict[str, Any]:
    own = {name: redacted(value.data) for name, value in inventory.own_variables(group.name).items()}
    return own if group.priority == 1 else {**own, "ansible_group_priority": group.priority}


def _variable_lines(variables: Mapping[str, Any], depth: int) -> Iterator[str]:
    for name, value in sorted(variables.items()):
        yield _line(f"{{{name} = {value}}}", depth)


def _line(text: str, depth: int) -> str:
    return "  |" * depth + "--" * bool(depth) + text


def _listed(group: Group) -> dict[str, list[str]]:
    hosts = [] if group.name == "all" else list(group.hosts)
    return {key: names for key, names in (("children", list(group.children)), ("hosts", hosts)) if names}


def _textual(data: Any) -> Any:
    """Data whose keys are texts, as JSON wants them."""
    if isinstance(data, Mapping):
        return {str(key): _textual(item) for key, item in data.items()}
    return [_textual(item) for item in data] if isinstance(data, list) else data
