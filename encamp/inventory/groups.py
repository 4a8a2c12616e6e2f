"""The groups and hosts of an inventory file, and the order in which their variables count."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

import yaml

from encamp.errors import InventoryError, Origin
from encamp.inventory.host import SUPPORTED, unsupported
from encamp.inventory.ranges import expand, has_range
from encamp.inventory.variables import Value
from encamp.inventory.yaml_document import Document, is_null

_SECTIONS = ("vars", "children", "hosts")
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
    """All groups and all hosts (with the variables written beside them), in the order of the file."""

    groups: dict[str, Group] = dataclasses.field(default_factory=dict)
    hosts: dict[str, dict[str, Value]] = dataclasses.field(default_factory=dict)

    def group(self, name: str) -> Group:
        """The group of that name, made when it is new."""
        return self.groups.setdefault(name, Group(name))

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


def read_tree(document: Document) -> Tree:
    """The tree of an inventory file. Raises InventoryError at the line of whatever has the wrong shape."""
    if document.root is None:
        fix = "start it with `all:`, and below it `hosts:` with one `name:` per line"
        raise InventoryError("the inventory is empty", fix, Origin(document.file, 1))
    tree = Tree()
    tree.group("all").children["ungrouped"] = None
    tree.group("ungrouped")
    for key, node in document.entries(document.root, "an inventory"):
        _read_group(tree, document, key, node)
    _complete(tree)
    _set_depths(tree, document)
    return tree


def _read_group(tree: Tree, document: Document, key: yaml.Node, node: yaml.Node) -> str:
    name = _name(document, key, "group")
    group = tree.group(name)
    if is_null(node):
        return name
    if not isinstance(node, yaml.MappingNode):
        fix = f"a variable for every host belongs under `all:`, `vars:`; a group holds {', '.join(_SECTIONS)}"
        raise document.error(key, f"{name} stands where a group belongs, but is not a mapping", fix)
    for section, below in document.entries(node, f"group {name}"):
        title = _name(document, section, "section")
        if title not in _SECTIONS:
            fix = f"write variables under `vars:`, groups under `children:`, hosts under `hosts:` of {name}"
            raise document.error(section, f"{title} is not part of a group", fix)
        if is_null(below):
            continue
        if title == "vars":
            group.variables.update(read_variables(document, below, f"vars of group {name}"))
            group.priority = _priority(group, document)
        elif title == "children":
            _read_children(tree, document, group, below)
        else:
            _read_hosts(tree, document, group, below)
    return name


def _read_children(tree: Tree, document: Document, group: Group, node: yaml.Node) -> None:
    for key, below in _members(document, node, f"children of group {group.name}"):
        group.children[_read_group(tree, document, key, below)] = None


def _read_hosts(tree: Tree, document: Document, group: Group, node: yaml.Node) -> None:
    for key, below in _members(document, node, f"hosts of group {group.name}"):
        written = _name(document, key, "host")
        own = {} if is_null(below) else read_variables(document, below, f"host {written}")
        port = re.fullmatch(_PORT, written) if ":" in written else None
        if port:
            written = port["host"] if has_range(port["host"]) else port["host"].strip("[]")
            own = {"ansible_port": Value(int(port["port"]), document.origin(key)), **own}
        for name in _expanded(document, key, written):
            group.hosts[name] = None
            tree.hosts.setdefault(name, {}).update(own)


def _members(document: Document, node: yaml.Node, what: str) -> list[tuple[yaml.Node, yaml.Node]]:
    """The entries below ``hosts:`` or ``children:``. A single name without a colon is allowed, as in Ansible."""
    if isinstance(node, yaml.ScalarNode) and node.value and not is_null(node):
        return [(node, yaml.ScalarNode("tag:yaml.org,2002:null", "", node.start_mark, node.end_mark))]
    if isinstance(node, yaml.SequenceNode):
        raise document.error(
            node, f"{what} must be a mapping, not a list", "write `name:` without the dash, one per line"
        )
    return document.entries(node, what)


def _expanded(document: Document, key: yaml.Node, written: str) -> list[str]:
    try:
        names = expand(written)
    except ValueError as error:
        raise document.error(key, str(error), "write it like web[01:20] or db-[a:f]") from None
    if "[" in names[0] or "]" in names[0]:
        fix = "write a range like web[01:20] or db-[a:f], and an IPv6 address with brackets only before a port"
        raise document.error(key, f"{written} is neither a host name nor a range", fix)
    return names


def _name(document: Document, key: yaml.Node, what: str) -> str:
    """A name as it was typed: 007 stays 007."""
    if not isinstance(key, yaml.ScalarNode) or not key.value:
        fix = "quote a name that begins with [ or {"
        raise document.error(key, f"a {what} name must be a plain text", fix)
    return str(key.value)


def read_variables(document: Document, node: yaml.Node, what: str) -> dict[str, Value]:
    """Variables below a node, each with its line. Raises InventoryError for an ansible_ variable of no effect."""
    found = {}
    for key, below in document.entries(node, what):
        name = _name(document, key, "variable")
        if name.startswith("ansible_") and name not in SUPPORTED:
            raise unsupported(name, document.origin(key))
        found[name] = Value(document.data(below), document.origin(key))
    return found


def _priority(group: Group, document: Document) -> int:
    value = group.variables.pop("ansible_group_priority", None)
    if value is None:
        return group.priority
    if isinstance(value.data, int) and not isinstance(value.data, bool):
        return value.data
    raise InventoryError("ansible_group_priority must be a whole number", "write it without quotes", value.origin)


def _complete(tree: Tree) -> None:
    """What Ansible adds: hosts without a group are ``ungrouped``, and every group without a parent is below ``all``."""
    grouped = {host for group in tree.groups.values() if group.name not in ("all", "ungrouped") for host in group.hosts}
    ungrouped = tree.groups["ungrouped"]
    ungrouped.hosts = dict.fromkeys(host for host in [*ungrouped.hosts, *tree.hosts] if host not in grouped)
    parented = {child for group in tree.groups.values() for child in group.children}
    orphans = (name for name in tree.groups if name != "all" and name not in parented)
    tree.groups["all"].children.update(dict.fromkeys(orphans))


def _set_depths(tree: Tree, document: Document) -> None:
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
        raise InventoryError(f"groups are children of each other: {circle}", "break the circle", Origin(document.file))


def _sorted_text(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
