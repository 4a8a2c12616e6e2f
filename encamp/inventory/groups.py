"""The groups and hosts of an inventory, whatever form it is written in, and the order in which variables count."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from encamp.errors import InventoryError, Origin
from encamp.inventory.ranges import expand, has_range
from encamp.inventory.variables import Value
from encamp.secrets.vault.values import with_types

PRIORITY = "ansible_group_priority"
#: The key under which programs list the variables of hosts, beside the groups.
META = "_meta"
#: A port stands behind a name, its ranges included, or behind an IPv6 address in brackets.
_PORT = r"(?P<host>(?:[^:\[\]]|\[[^\[\]]*\])+):(?P<port>\d{1,5})"


@dataclasses.dataclass
class Group:
    """A group as written: its own hosts and children in order, its variables, its priority among its peers."""

    name: str
    hosts: dict[str, None] = dataclasses.field(default_factory=dict)
    children: dict[str, None] = dataclasses.field(default_factory=dict)
    variables: dict[str, Value] = dataclasses.field(default_factory=dict)
    priority: int = 1
    depth: int = 0


@dataclasses.dataclass
class Tree:
    """All groups and all hosts (with the variables written beside them), in the order in which they were read.

    ``files`` says in which file each host stood first.
    """

    groups: dict[str, Group] = dataclasses.field(default_factory=dict)
    hosts: dict[str, dict[str, Value]] = dataclasses.field(default_factory=dict)
    files: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def begin(cls) -> Tree:
        """A tree without hosts, with the two groups that every inventory has."""
        tree = cls()
        tree.group("all").children["ungrouped"] = None
        tree.group("ungrouped")
        return tree

    def group(self, name: str) -> Group:
        """The group of that name, made when it is new."""
        return self.groups.setdefault(name, Group(name))

    def add_hosts(
        self, group: str, names: Iterable[str], variables: Mapping[str, Value], file: str, port: Value | None = None
    ) -> None:
        """Put hosts into a group. What was said of them before counts less; a ``port`` behind the name only if it
        stands where the host is met first."""
        for name in names:
            self.groups[group].hosts[name] = None
            if name not in self.hosts:
                self.hosts[name] = {} if port is None else {"ansible_port": port}
                self.files[name] = file
            self.hosts[name].update(variables)

    def set_variables(self, group: str, variables: Mapping[str, Value]) -> None:
        """Variables of a group, its priority among them. Raises InventoryError for a priority that is no number."""
        given = dict(variables)
        priority = given.pop(PRIORITY, None)
        if priority is not None:
            self.groups[group].priority = _priority(priority)
        self.groups[group].variables.update(given)

    def finish(self, where: Origin) -> None:
        """Add what Ansible adds, and work out the depths. Raises InventoryError when a group is below itself."""
        _complete(self)
        _set_depths(self, where)

    def members(self, name: str) -> tuple[str, ...]:
        """All hosts in and below a group: its own first, then level by level."""
        found: dict[str, None] = {}
        for group in self._below(name):
            found.update(self.groups[group].hosts)
        return tuple(found)

    def _below(self, name: str) -> list[str]:
        order = {name: None}
        level = [name]
        while level:
            level = [child for group in level for child in self.groups[group].children if child not in order]
            order.update(dict.fromkeys(level))
        return list(order)

    def above(self, name: str) -> list[Group]:
        """A group and all groups that it is in, the weakest first. Raises KeyError."""
        return [group for group in self._ranked() if group is self.groups[name] or name in self._below(group.name)]

    def _ranked(self) -> list[Group]:
        return sorted(self.groups.values(), key=lambda group: (group.depth, group.priority, group.name))

    def groups_by_host(self) -> dict[str, list[Group]]:
        """For each host all groups that it is in, the weakest first: by depth, then priority, then name."""
        found: dict[str, list[Group]] = {host: [] for host in self.hosts}
        for group in self._ranked():
            for host in self.members(group.name):
                found[host].append(group)
        return found


def addresses(written: str) -> tuple[list[str], int | None]:
    """The host names that ``web[01:20].example.com:2222`` stands for, and the port behind them.

    Raises ValueError, in words for the operator.
    """
    found = re.fullmatch(_PORT, written) if ":" in written else None
    if found:
        written = found["host"] if has_range(found["host"]) else found["host"].strip("[]")
    names = expand(written)
    if "[" in names[0] or "]" in names[0]:
        raise ValueError(f"{written} is neither a host name nor a range")
    return names, int(found["port"]) if found else None


def _priority(value: Value) -> int:
    data = with_types(value.data)
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    if isinstance(data, str) and data.strip().isdecimal():
        return int(data)
    raise InventoryError(f"{PRIORITY} must be a whole number", "write it without quotes", value.origin)


def _complete(tree: Tree) -> None:
    """What Ansible adds: hosts without a group are ``ungrouped``, and every group without a parent is below ``all``."""
    grouped = {host for group in tree.groups.values() if group.name not in ("all", "ungrouped") for host in group.hosts}
    ungrouped = tree.groups["ungrouped"]
    ungrouped.hosts = dict.fromkeys(host for host in [*ungrouped.hosts, *tree.hosts] if host not in grouped)
    parented = {child for group in tree.groups.values() for child in group.children}
    orphans = (name for name in tree.groups if name != "all" and name not in parented)
    tree.groups["all"].children.update(dict.fromkeys(orphans))


def _set_depths(tree: Tree, where: Origin) -> None:
    """Depth is the longest way from ``all``. Raises InventoryError when a group is below itself."""
    waiting = dict.fromkeys(tree.groups, 0)
    for group in tree.groups.values():
        for child in group.children:
            waiting[child] += 1
    ready = [name for name, parents in waiting.items() if parents == 0]
    for name in ready:
        for child in tree.groups[name].children:
            tree.groups[child].depth = max(tree.groups[child].depth, tree.groups[name].depth + 1)
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
    if len(ready) < len(tree.groups):
        circle = _sorted_text(name for name in tree.groups if waiting[name])
        raise InventoryError(f"groups are children of each other: {circle}", "break the circle", where)


def _sorted_text(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
