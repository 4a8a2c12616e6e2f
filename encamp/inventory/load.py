"""The inventory: the hosts and their variables, read from all sources as Ansible reads them.

Order in which variables count, the later the stronger: ``vars`` of all, ``vars`` of groups (outer before inner, then by
``ansible_group_priority``, then by name), ``group_vars/all``, ``group_vars/<group>``, the host's own, ``host_vars``,
``--set``. Of several sources, the later counts more.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from encamp.errors import InventoryError, NoHosts, Origin
from encamp.inventory import patterns
from encamp.inventory.connection_names import refused
from encamp.inventory.forms.host_list import is_host_list
from encamp.inventory.groups import PRIORITY, Group, Tree
from encamp.inventory.host import Host
from encamp.inventory.location import folder_of
from encamp.inventory.sources import Sources
from encamp.inventory.variables import Value, Variables
from encamp.inventory.vars_folder import VarsFolder
from encamp.inventory.yaml_document import Template, Untyped, typed
from encamp.secrets.vault.values import with_types
from encamp.shared.record import record

# Texts, not compiled: most runs need no such pattern, and compiling takes longer than loading the hosts.
_ADHOC = (
    r"(?:(?P<user>[A-Za-z0-9_][\w.+-]*)@)?"
    r"(?:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)|\[(?P<boxed>[0-9A-Fa-f:.]+)\]"
    r"|(?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*))"
    r"(?::(?P<port>\d{1,5}))?"
)


@record
class Fault:
    """A file of variables that cannot be read: of which ``kind`` (group or host) and which name."""

    error: InventoryError
    kind: str
    name: str

    def concerns(self, host: Host) -> bool:
        """Whether a host lacks what the file says."""
        return self.name in host.groups if self.kind == "group" else self.name == host.name


@dataclasses.dataclass(frozen=True)
class Inventory:
    """A loaded site. ``groups`` gives all hosts in and below each group; ``variables`` are those of an ad-hoc host.

    ``path`` is its file, or all its sources with commas; ``directory`` keeps what encamp makes for it. ``notes`` are
    for the operator: files of variables that belong to no host or group. ``faults`` concern some hosts only.
    """

    path: Path
    hosts: Mapping[str, Host]
    groups: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, Value]
    directory: Path = Path()
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    _site: _Site | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def adhoc(self) -> bool:
        """Whether hosts that the inventory does not know may be named. Raises InventoryError unless true or false."""
        value = self.variables.get("adhoc")
        if value is None:
            return False
        data = typed(str(value.data), value.origin.file) if isinstance(value.data, Untyped) else with_types(value.data)
        if not isinstance(data, bool):
            raise InventoryError("adhoc must be true or false", "write it without quotes", value.origin)
        return data

    def without_hosts(self, why: str) -> NoHosts:
        """The error for a selection that is empty: there are no hosts at all, or else ``why``."""
        path = Origin(str(self.path))
        return NoHosts(why if self.hosts else f"{path} lists none", f"add hosts to {path}, or name others with -H")

    def group_variables(self, group: str) -> Mapping[str, Value]:
        """Variables of a host that is in ``group`` only, such as this machine as one more client. Raises KeyError."""
        return self._site.variables("", self._site.tree.above(group)) if self._site else self.variables

    @property
    def tree(self) -> Tree:
        """The groups as they are written, in the order of the sources."""
        return self._site.tree if self._site else Tree()

    def own_variables(self, group: str) -> Mapping[str, Value]:
        """The variables of a group itself, of the inventory and of group_vars, not rendered. Raises KeyError."""
        return self._site.own(group) if self._site else {}

    def unlisted(self, name: str) -> Host:
        """A host that the inventory does not list: it has the variables of all, and its file in host_vars if any.

        Raises InventoryError for such a file that cannot be read.
        """
        variables = self.variables
        if self._site is not None:
            variables = self._site.unlisted(name)
        return self.with_faults(Host(name, ("all", "ungrouped"), variables, True, str(self.directory)))

    def with_faults(self, host: Host) -> Host:
        """A host that knows which files of its variables could not be read."""
        found = tuple(fault.error for fault in self.faults if fault.concerns(host))
        return dataclasses.replace(host, faults=found) if found else host


def load_inventory(
    sources: str | Path | Sequence[str],
    overrides: Mapping[str, str] | None = None,
    home: str = "",
    tolerant: bool = False,
) -> Inventory:
    """Read a site: a file or folder, or several sources. ``overrides`` (``--set``) beat everything.

    ``home``: the folder of the fabfile. ``tolerant``: a file of variables that cannot be read is one of ``faults``.
    Raises InventoryError, with file and line, for all else that cannot be read.
    """
    named = [str(sources)] if isinstance(sources, (str, Path)) else list(sources)
    try:
        loaded = _load(named, _overrides(overrides or {}), folder_of(named, home))
    except RecursionError:
        raise InventoryError("the inventory is nested too deeply", "flatten it", Origin(", ".join(named))) from None
    if loaded.faults and not tolerant:
        raise loaded.faults[0].error
    return loaded


def _load(named: Sequence[str], overrides: dict[str, Value], directory: Path) -> Inventory:
    sources = Sources()
    for source in named:
        sources.read(source)
    path = Path(sources.files[0] if len(sources.files) == 1 == len(named) else ",".join(map(_absolute, named)))
    sources.tree.finish(Origin(str(path)))
    _refuse_control_characters(sources.tree, Origin(str(path)))
    site = _Site(sources, str(directory), overrides)
    tree = sources.tree
    hosts = {name: site.host(name, groups) for name, groups in tree.groups_by_host().items()}
    site.meet(hosts)
    members = {name: tree.members(name) for name in tree.groups}
    inventory = Inventory(
        path, hosts, members, site.variables("", tree.above("ungrouped")), directory, _site=site, faults=site.faults()
    )
    notes = (*sources.notes, *site.notes(str(path), inventory.adhoc))
    known = {name: inventory.with_faults(host) for name, host in hosts.items()} if inventory.faults else hosts
    return dataclasses.replace(inventory, notes=notes, hosts=known)


def _refuse_control_characters(tree: Tree, where: Origin) -> None:
    """Raises InventoryError for a name that would do something to the terminal that it is shown on: names of machines
    in a cloud are chosen by whoever may start one."""
    wrong = next((name for name in (*tree.hosts, *tree.groups) if not name.isprintable()), None)
    if wrong is not None:
        reason = "the name of a host or group holds a control character"  # not shown: it may be a file of a password
        fix = "rename it; a file that is no inventory belongs elsewhere"
        raise InventoryError(reason, fix, Origin(tree.files[wrong]) if wrong in tree.files else where)


def _absolute(source: str) -> str:
    return source if is_host_list(source) else os.path.abspath(os.path.expanduser(source))


def select_hosts(inventory: Inventory, pattern: str) -> list[Host]:
    """The hosts that an Ansible pattern names, in the pattern's order, their connection variables checked.

    A plain name that is not in the inventory is accepted where the site says ``adhoc: true``; ``user@host:port`` sets
    the login of that host. Raises InventoryError for a term that names nothing, NoHosts when no host is left.
    """
    chosen = dict(inventory.hosts)

    def named(term: str) -> str | None:
        host = _from_term(inventory, term)
        if host is not None:
            chosen[host.name] = host
        return host.name if host else None

    hosts = [chosen[name] for name in patterns.resolve(pattern, list(inventory.hosts), inventory.groups, named)]
    if not hosts:
        raise inventory.without_hosts(f"{pattern!r} leaves none")
    for host in hosts:
        host.check_connection()
    return hosts


def hosts_of(inventory: Inventory, groups: Iterable[str]) -> list[Host]:
    """The hosts of some groups, their connection variables checked; a group may be missing. Raises InventoryError,
    NoHosts."""
    wanted = list(dict.fromkeys(groups))
    hosts = [
        inventory.hosts[name]
        for name in dict.fromkeys(name for group in wanted for name in inventory.groups.get(group, ()))
    ]
    if not hosts:
        raise inventory.without_hosts(f"none is in the group {' or '.join(wanted)}")
    for host in hosts:
        host.check_connection()
    return hosts


class _Site:
    """What load keeps while hosts get their variables."""

    def __init__(self, sources: Sources, directory: str, overrides: dict[str, Value]) -> None:
        self.tree, self.directory, self._references = sources.tree, directory, sources.references
        self._overrides = overrides
        self._fleet: dict[str, Variables] = {}
        self._members: dict[str, list[str]] = {}
        self._faults: list[Fault] = []
        self._group_vars = [VarsFolder(os.path.join(path, "group_vars"), self._references) for path in sources.folders]
        self._host_vars = [VarsFolder(os.path.join(path, "host_vars"), self._references) for path in sources.folders]
        self._of_group = {name: self._files_of(self._group_vars, name, "group") for name in self.tree.groups}

    def _files_of(self, folders: Sequence[VarsFolder], name: str, kind: str) -> list[dict[str, Value]]:
        """What each folder says of a group or host; nothing where it cannot be read."""
        found: list[dict[str, Value]] = []
        for folder in folders:
            try:
                found.append(folder.read(name))
            except InventoryError as error:
                self._faults.append(Fault(error, kind, name))
                found.append({})
        return found

    def faults(self) -> tuple[Fault, ...]:
        """The files that could not be read."""
        return tuple(self._faults)

    def host(self, name: str, groups: list[Group]) -> Host:
        return Host(name, tuple(group.name for group in groups), self.variables(name, groups), False, self.directory)

    def meet(self, hosts: Mapping[str, Host]) -> None:
        """Let templates of every host see the groups, and the variables of all hosts."""
        self._members.update({name: list(self.tree.members(name)) for name in self.tree.groups})
        self._fleet.update(
            {name: host.variables for name, host in hosts.items() if isinstance(host.variables, Variables)}
        )

    def variables(self, name: str, groups: list[Group]) -> Variables:
        """All variables of a host, by precedence. ``groups``: lowest precedence first, including ``all``."""
        merged: dict[str, Value] = {}
        for group in groups:
            merged.update(group.variables)
        for folder in range(len(self._group_vars)):
            merged.update(self._of_group["all"][folder])
        for folder in range(len(self._group_vars)):
            for group in groups:
                merged.update(self._of_group[group.name][folder] if group.name != "all" else {})
        merged.update(self.tree.hosts.get(name, {}))
        for own in self._files_of(self._host_vars, name, "host") if name else ():
            merged.update(own)
        return Variables(merged, self._magic(name, groups), self._references, self._fleet).extended(self._overrides)

    def unlisted(self, name: str) -> Variables:
        """Variables of a host that the inventory does not list. Raises InventoryError."""
        known = len(self._faults)
        variables = self.variables(name, self.tree.above("ungrouped"))
        for fault in self._faults[known:]:
            raise fault.error
        return variables

    def _magic(self, name: str, groups: list[Group]) -> dict[str, object]:
        """What Ansible's templates know without asking the host."""
        file = self.tree.files.get(name, "")
        return {
            "inventory_hostname": name,
            "inventory_hostname_short": name.split(".")[0],
            "group_names": sorted(group.name for group in groups if group.name != "all"),
            "groups": self._members,
            "inventory_file": file,
            "inventory_dir": os.path.dirname(file) if file else self.directory,
        }

    def own(self, group: str) -> dict[str, Value]:
        """The variables of a group itself. Raises KeyError."""
        found = dict(self.tree.groups[group].variables)
        for own in self._of_group[group]:
            found.update(own)
        return found

    def notes(self, file: str, adhoc: bool) -> Iterable[str]:
        """Names that are a host's and a group's, and unused files of variables, such as one with a mistyped name."""
        for name in self.tree.groups:
            if name in self.tree.hosts:
                where = Origin(self.tree.files[name])
                why = f"-H {name} means the host (in INI, groups of a group stand below [GROUP:children])"
                yield f"{where}: {name} is the name of a host and of a group; {why}"
        folders = [(folder, set(self.tree.groups), "group") for folder in self._group_vars]
        if not adhoc:
            folders += [(folder, set(self.tree.hosts), "host") for folder in self._host_vars]
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
        problem = refused(name, origin)
        if name == PRIORITY or problem:
            raise problem or InventoryError(f"{PRIORITY} has no effect here", "write it into the inventory", origin)
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
