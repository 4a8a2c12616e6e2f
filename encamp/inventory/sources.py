"""The sources of an inventory, each read in the form that it is written in: files, folders of them, lists of hosts.

Readers of forms that most sites do not have are imported when a file needs one.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Iterator, Sequence

import yaml

from encamp.errors import InventoryError, Origin
from encamp.inventory.forms import host_list, yaml_groups
from encamp.inventory.groups import META, Tree
from encamp.inventory.yaml_document import Document, Source, parsed, read_file

#: What Ansible passes over in a folder: hidden files, files of variables, copies and texts.
_IGNORED = r"\..*|(?:host_vars|group_vars|vars_plugins)|.*(?:\.(?:pyc|pyo|swp|bak|rpm|md|txt|rst|orig|cfg|retry)|~)"
#: What encamp itself keeps beside an inventory.
OWN_FOLDERS = ("secrets", "locks")
_VARIABLES = ("group_vars", "host_vars")
_SHOWN = 5
#: Bytes; a hundred thousand hosts fit.
_LARGEST = 1 << 25
_YAML = ("", ".yml", ".yaml", ".json")
_USUAL = (*_YAML, ".ini")


@dataclasses.dataclass
class Sources:
    """All that was read. ``files`` are the files in their order, ``folders`` those with ``group_vars`` beside them."""

    tree: Tree = dataclasses.field(default_factory=Tree.begin)
    references: set[str] = dataclasses.field(default_factory=set)
    notes: list[str] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)
    folders: list[str] = dataclasses.field(default_factory=list)

    def read(self, source: str) -> None:
        """Add a source: a file, a folder (all files in it, by name), or hosts with commas. Raises InventoryError."""
        if host_list.is_host_list(source):
            host_list.read(self.tree, source)
            return
        path = os.path.abspath(os.path.expanduser(source))
        if os.path.isdir(path):
            self._read_folder(path, source)
        elif os.path.isfile(path):
            self._add_folder(os.path.dirname(path))
            self._read_file(path)
        else:
            fix = "name a folder or a file (--inventory, ENCAMP_INVENTORY), or hosts with a comma: --inventory vm1,"
            raise InventoryError(f"there is no inventory at {source}", fix)

    def _read_folder(self, path: str, source: str) -> None:
        self._add_folder(path)
        found = list(_files(path))
        self.notes += [f"{Origin(below)} is not read: only those of the folder itself are" for below in _unread(path)]
        alone = len(found) == 1 and os.path.splitext(found[0])[1] in _USUAL
        others = []
        for file in found:
            if alone or self._is_inventory(file):
                self._read_file(file)
            else:
                others.append(os.path.relpath(file, path))
        if len(others) == len(found):
            fix = "create a hosts.yml in it, or name another folder or file with --inventory"
            raise InventoryError(f"{source} contains no inventory file", fix)
        others = [name for name in others if os.path.splitext(name)[1] in _USUAL]
        if others:
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            self.notes.append(f"{Origin(path)}: no inventories, and not read: {', '.join(others[:_SHOWN])}{more}")

    def _add_folder(self, path: str) -> None:
        """The last place of a folder that is named twice counts."""
        self.folders = [*(folder for folder in self.folders if folder != path), path]

    def _is_inventory(self, file: str) -> bool:
        """Whether a file among others is an inventory at all. Raises InventoryError for a malformed one.

        Not every text is a list of hosts: without a ``[group]`` in it, only one whose name has no ending, and not one
        that nobody else may read, such as a password.
        """
        if _is_executable(file):
            return True
        ending = os.path.splitext(file)[1]
        if not _is_text(file):
            return False
        try:
            source = read_file(file)
            if ending in _YAML and self._is_yaml(source):
                return _is_yaml_inventory(source)
            from encamp.inventory.forms import ini

            if not ini.has_sections(source.text) and (ending or _is_private(file)):
                return False
        except InventoryError:
            if ending in _YAML[1:]:
                raise
            return False
        scratch = self._scratch()
        try:
            ini.read(scratch, source, set())
        except InventoryError as error:
            if ini.has_sections(source.text):
                if not ending:
                    raise
                self.notes.append(f"{error}; so the file is not read as an inventory")
            return False
        return ini.has_sections(source.text) or all(name.isprintable() for name in scratch.hosts)

    def _is_yaml(self, source: Source) -> bool:
        document = self._yaml(source)
        return document is not None and document.root is not None

    def _scratch(self) -> Tree:
        """A tree to try a file on, with the groups that are known so far."""
        tree = Tree.begin()
        for name in self.tree.groups:
            tree.group(name)
        return tree

    def _read_file(self, path: str) -> None:
        earlier = tuple(self.files)
        self.files.append(path)
        if _is_executable(path):
            from encamp.inventory.forms import program

            try:
                note = program.read_script(self.tree, path, self.references)
                self.notes += [note] if note else []
                return
            except program.NotAProgram:
                pass  # data on a file system that marks every file as executable
        self._read_data(read_file(path), earlier)

    def _read_data(self, source: Source, earlier: Sequence[str]) -> None:
        if source.text.startswith("#!"):
            fix = f"chmod +x {Origin(source.file)}, or remove its first line if it is no script"
            raise InventoryError("it is a script, but not executable", fix, Origin(source.file, 1))
        document = self._yaml(source)
        if document is None:
            from encamp.inventory.forms import ini

            ini.read(self.tree, source, self.references)
            return
        plugin = _plugin(document)
        if not plugin and not _has_key(document, META):
            document.references = self.references
            yaml_groups.read(self.tree, document)
            return
        from encamp.inventory.forms import program

        if plugin:
            program.read_plugin(self.tree, source.file, earlier, plugin)
        else:
            program.read_saved(self.tree, source.text, source.file)

    def _yaml(self, source: Source) -> Document | None:
        """The document of a file in YAML or JSON; None for one in INI, whatever its name says."""
        ending = os.path.splitext(source.file)[1]
        if ending not in _YAML:
            return None
        try:
            document = parsed(source)
        except InventoryError:
            if _has_sections(source) or (not ending and _has_hosts(source.text)):
                return None
            raise
        is_mapping = isinstance(document.root, yaml.MappingNode)
        return None if not is_mapping and (not ending or _has_sections(source)) else document


def _is_executable(path: str) -> bool:
    """Whether Ansible would run the file."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _has_sections(source: Source) -> bool:
    from encamp.inventory.forms import ini

    return ini.has_sections(source.text)


def _is_text(file: str) -> bool:
    """Whether a file can be an inventory by its size and its first bytes; an image need not be read whole."""
    try:
        with open(file, "rb") as stream:
            return os.fstat(stream.fileno()).st_size <= _LARGEST and b"\0" not in stream.read(1024)
    except OSError:
        return True  # reading it says what is wrong


def _is_private(file: str) -> bool:
    """Whether only its owner may read a file whose name does not say that it holds hosts."""
    return not os.stat(file).st_mode & 0o077 and not re.search("host|inventory", os.path.basename(file))


def _is_yaml_inventory(source: Source) -> bool:
    document = parsed(source)
    return bool(_plugin(document)) or _has_key(document, META) or yaml_groups.is_inventory(document)


def _plugin(document: Document) -> str:
    """The name behind ``plugin:``."""
    if not isinstance(document.root, yaml.MappingNode):
        return ""
    named = [value for key, value in document.root.value if key.value == "plugin"]
    return str(named[0].value) if named and isinstance(named[0], yaml.ScalarNode) else ""


def _has_key(document: Document, name: str) -> bool:
    return isinstance(document.root, yaml.MappingNode) and any(key.value == name for key, _ in document.root.value)


def _has_hosts(text: str) -> bool:
    """Whether a text without sections, and no YAML, may be hosts with variables: a line of words and name=value."""
    lines = [line.split() for line in text.splitlines() if line.strip() and line.lstrip()[0] not in "#;"]
    return bool(lines) and all("=" in word for line in lines for word in line[1:]) and not lines[0][0].endswith(":")


def _files(folder: str) -> Iterator[str]:
    """The files of a folder that Ansible would read, subfolders included, in its order."""
    for name in _held(folder):
        path = os.path.join(folder, name)
        if re.fullmatch(_IGNORED, name):
            continue
        if not os.path.isdir(path):
            if not _is_special(path):
                yield path
        elif _is_entered(folder, name):
            yield from _files(path)


def _unread(folder: str) -> Iterator[str]:
    """Folders of variables below a subfolder, which look as if they counted."""
    for name in _held(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not re.fullmatch(_IGNORED, name) and _is_entered(folder, name):
            yield from (os.path.join(path, each) for each in _VARIABLES if os.path.isdir(os.path.join(path, each)))
            yield from _unread(path)


def _is_special(path: str) -> bool:
    """Whether reading it would wait for another program, or not end: a named pipe, a socket, a device."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False  # reading it says what is wrong
    return not stat.S_ISREG(mode)


def _is_entered(folder: str, name: str) -> bool:
    """Whether a subfolder is looked into: not what encamp keeps there, nor a link back to where we came from."""
    here = os.path.realpath(folder)
    return name not in OWN_FOLDERS and not f"{here}/".startswith(f"{os.path.realpath(os.path.join(folder, name))}/")


def _held(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder), key=os.fsencode)
    except OSError as error:
        raise InventoryError(f"cannot read it: {error.strerror}", "check its path and mode", Origin(folder)) from None
