"""The inventory: the hosts and their variables, read from YAML as Ansible reads it.

Order in which variables count, the later the stronger: ``vars`` of all, ``vars`` of groups (outer before inner, then by
``ansible_group_priority``, then by name), ``group_vars/all``, ``group_vars/<group>``, the host's own, ``host_vars``,
``--set``.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from encamp.errors import InventoryError, Origin
from encamp.inventory import patterns
from encamp.inventory.groups import Group, Tree, read_tree
from encamp.inventory.host import SUPPORTED, Host, unsupported
from encamp.inventory.location import file_of
from encamp.inventory.variables import Value, Variables
from encamp.inventory.vars_folder import VarsFolder
from encamp.inventory.yaml_document import Template, parse_file, typed

# Texts, not compiled: most runs need no such pattern, and compiling takes longer than loading the hosts.
_ADHOC = (
    r"(?:(?P<user>[A-Za-z0-9_][\w.+-]*)@)?"
    r"(?:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)|\[(?P<boxed>[0-9A-Fa-f:.]+)\]"
    r"|(?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*))"
    r"(?::(?P<port>\d{1,5}))?"
)


@dataclasses.dataclass(frozen=True)
class Inventory:
    """A loaded site. ``groups`` gives all hosts in and below each group; ``variables`` are those of an ad-hoc host.

    ``notes`` are for the operator: files of variables that belong to no host or group.
    """

    path: Path
    hosts: Mapping[str, Host]
    groups: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, Value]
    notes: tuple[str, ...] = ()
    _site: _Site | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def adhoc(self) -> bool:
        """Whether hosts that the inventory does not know may be named. Raises InventoryError unless true or false."""
        value = self.variables.get("adhoc")
        if value is None:
            return False
        if not isinstance(value.data, bool):
            raise InventoryError("adhoc must be true or false", "write it without quotes", value.origin)
        return value.data

    def group_variables(self, group: str) -> Mapping[str, Value]:
        """Variables of a host that is in ``group`` only, such as this machine as one more client. Raises KeyError."""
        return self._site.variables("", self._site.tree.above(group)) if self._site else self.variables

    @property
    def tree(self) -> Tree:
        """The groups as they are written, in the order of the file."""
        return self._site.tree if self._site else Tree()

    def own_variables(self, group: str) -> Mapping[str, Value]:
        """The variables of a group itself, of the inventory file and of group_vars, not rendered. Raises KeyError."""
        return self._site.own(group) if self._site else {}

    def unlisted(self, name: str) -> Host:
        """A host that the inventory does not list: it has the variables of all, and its file in host_vars if any."""
        variables = self.variables
        if self._site is not None:
            variables = self._site.variables(name, self._site.tree.above("ungrouped"))
        return Host(name, ("all", "ungrouped"), variables, True, str(self.path.parent))


def load_inventory(path: Path, overrides: Mapping[str, str] | None = None) -> Inventory:
    """Read a site: a directory with hosts.yml in it, or such a file. ``overrides`` (``--set``) beat everything.

    Raises InventoryError, with file and line, for all that cannot be read.
    """
    file = file_of(Path(path))
    try:
        return _load(file, _overrides(overrides or {}))
    except RecursionError:
        raise InventoryError("the inventory is nested too deeply", "flatten it", Origin(str(file))) from None


def _load(file: Path, overrides: dict[str, Value]) -> Inventory:
    document = parse_file(str(file))
    tree = read_tree(document)
    site = _Site(tree, str(file.parent), document.references, overrides)
    hosts = {name: site.host(name, groups) for name, groups in tree.groups_by_host().items()}
    members = {name: tree.members(name) for name in tree.groups}
    inventory = Inventory(file, hosts, members, site.variables("", tree.above("ungrouped")), (), site)
    return dataclasses.replace(inventory, notes=tuple(site.notes(str(file), inventory.adhoc)))


def select_hosts(inventory: Inventory, pattern: str) -> list[Host]:
    """The hosts that an Ansible pattern names, in the pattern's order, their connection variables checked.

    A plain name that is not in the inventory is accepted where the site says ``adhoc: true``; ``user@host:port`` sets
    the login of that host. Raises InventoryError for a term that names nothing, and when no host is left.
    """
    chosen = dict(inventory.hosts)

    def named(term: str) -> str | None:
        host = _from_term(inventory, term)
        if host is not None:
            chosen[host.name] = host
        return host.name if host else None

    hosts = [chosen[name] for name in patterns.resolve(pattern, list(inventory.hosts), inventory.groups, named)]
    if not hosts:
        fix = f"add hosts to {Origin(str(inventory.path))}, or name others with -H"
        raise InventoryError(f"no host matches {pattern!r}", fix)
    for host in hosts:
        host.check_connection()
    return hosts


class _Site:
    """What load keeps while hosts get their variables."""

    def __init__(self, tree: Tree, directory: str, references: set[str], overrides: dict[str, Value]) -> None:
        self.tree, self.directory, self._references, self._overrides = tree, directory, references, overrides
        self._group_vars = VarsFolder(os.path.join(directory, "group_vars"), references)
        self._host_vars = VarsFolder(os.path.join(directory, "host_vars"), references)
        self._of_group = {name: self._group_vars.read(name) for name in tree.groups}

    def host(self, name: str, groups: list[Group]) -> Host:
        return Host(name, tuple(group.name for group in groups), self.variables(name, groups), False, self.directory)

    def variables(self, name: str, groups: list[Group]) -> Variables:
        """All variables of a host, by precedence. ``groups``: lowest precedence first, including ``all``."""
        merged: dict[str, Value] = {}
        for group in groups:
            merged.update(group.variables)
        for group in groups:
            merged.update(self._of_group[group.name])
        merged.update(self.tree.hosts.get(name, {}))
        merged.update(self._host_vars.read(name) if name else {})
        merged.update(self._overrides)
        names = sorted(group.name for group in groups if group.name != "all")
        magic = {"inventory_hostname": name, "inventory_hostname_short": name.split(".")[0], "group_names": names}
        return Variables(merged, magic, self._references)

    def own(self, group: str) -> dict[str, Value]:
        """The variables of a group itself. Raises KeyError."""
        return {**self.tree.groups[group].variables, **self._of_group[group]}

    def notes(self, file: str, adhoc: bool) -> Iterable[str]:
        """Unused files of variables, such as one with a mistyped name."""
        folders = [(self._group_vars, set(self.tree.groups), "group")]
        if not adhoc:
            folders.append((self._host_vars, set(self.tree.hosts), "host"))
        for folder, known, kind in folders:
            for entry in folder.strangers(known):
                stranger = Origin(os.path.join(folder.path, entry))
                yield f"{stranger} is not used: {Origin(file)} has no {kind} of that name"


def _overrides(given: Mapping[str, str]) -> dict[str, Value]:
    found = {}
    for name, text in given.items():
        origin = Origin.of_override(name)
        if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
            raise InventoryError("bytes that are not text in this locale", "write the value as UTF-8", origin)
        if not (name.isascii() and name.isidentifier()):
            raise InventoryError(f"{name!r} is not a valid name of a setting", "write --set name=value", origin)
        if name.startswith("ansible_") and (name not in SUPPORTED or name == "ansible_group_priority"):
            raise unsupported(name, origin)
        data = Template(text) if "{{" in text or "{%" in text else typed(text, origin.file)
        found[name] = Value(data, origin, text)
    return found


def _from_term(inventory: Inventory, term: str) -> Host | None:
    """The host that ``[user@]name[:port]`` means; None when the inventory does not know it and may not accept it."""
    found = re.fullmatch(_ADHOC, term)
    if not found:
        return None
    name = found["name"] or found["boxed"] or found["bare"]
    if name in inventory.groups or (name not in inventory.hosts and not inventory.adhoc):
        return None
    host = inventory.hosts.get(name) or inventory.unlisted(name)
    origin, login = Origin("-H"), {}
    if found["user"]:
        login["ansible_user"] = Value(found["user"], origin)
    if found["port"]:
        login["ansible_port"] = Value(int(found["port"]), origin)
    if not login or not isinstance(host.variables, Variables):
        return host
    return dataclasses.replace(host, variables=host.variables.extended(login))
