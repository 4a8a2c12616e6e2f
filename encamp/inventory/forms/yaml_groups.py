"""Inventories in YAML, and in JSON of the same shape: groups with ``vars``, ``children`` and ``hosts``."""

from __future__ import annotations

import yaml

from encamp.errors import InventoryError, Origin
from encamp.inventory.groups import Group, Tree, addresses
from encamp.inventory.variables import Value
from encamp.inventory.yaml_document import Document, is_null

_SECTIONS = ("vars", "children", "hosts")


def read(tree: Tree, document: Document) -> None:
    """Add a file to the tree. Raises InventoryError at the line of whatever has the wrong shape."""
    if document.root is None:
        fix = "start it with `all:`, and below it `hosts:` with one `name:` per line"
        raise InventoryError("the inventory is empty", fix, Origin(document.file, 1))
    for key, node in document.entries(document.root, "an inventory"):
        _read_group(tree, document, key, node)


def is_inventory(document: Document) -> bool:
    """Whether any group in it has a section, or none has anything: a file of variables has neither."""
    if not isinstance(document.root, yaml.MappingNode):
        return False
    nodes = [node for _, node in document.root.value]
    sections = [key.value for node in nodes if isinstance(node, yaml.MappingNode) for key, _ in node.value]
    return all(map(is_null, nodes)) or any(title in _SECTIONS for title in sections)


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
            tree.set_variables(name, read_variables(document, below, f"vars of group {name}"))
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
        names, port = _addresses(document, key, written)
        behind = None if port is None else Value(port, document.origin(key))
        tree.add_hosts(group.name, names, own, document.file, behind)


def _members(document: Document, node: yaml.Node, what: str) -> list[tuple[yaml.Node, yaml.Node]]:
    """The entries below ``hosts:`` or ``children:``. A single name without a colon is allowed, as in Ansible."""
    if isinstance(node, yaml.ScalarNode) and node.value and not is_null(node):
        return [(node, yaml.ScalarNode("tag:yaml.org,2002:null", "", node.start_mark, node.end_mark))]
    if isinstance(node, yaml.SequenceNode):
        raise document.error(
            node, f"{what} must be a mapping, not a list", "write `name:` without the dash, one per line"
        )
    return document.entries(node, what)


def _addresses(document: Document, key: yaml.Node, written: str) -> tuple[list[str], int | None]:
    try:
        return addresses(written)
    except ValueError as error:
        fix = "write a range like web[01:20] or db-[a:f], and an IPv6 address with brackets only before a port"
        raise document.error(key, str(error), fix) from None


def _name(document: Document, key: yaml.Node, what: str) -> str:
    """A name as it was typed: 007 stays 007."""
    if not isinstance(key, yaml.ScalarNode) or not key.value:
        fix = "quote a name that begins with [ or {"
        raise document.error(key, f"a {what} name must be a plain text", fix)
    return str(key.value)


def read_variables(document: Document, node: yaml.Node, what: str) -> dict[str, Value]:
    """Variables below a node, each with its line. Raises InventoryError for a name that is no text."""
    found = {}
    for key, below in document.entries(node, what):
        name = _name(document, key, "variable")
        found[name] = Value(document.data(below), document.origin(key))
    return found
