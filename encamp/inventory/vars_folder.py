"""``group_vars/`` and ``host_vars/``: which files there belong to a name, and what they say."""

from __future__ import annotations

import os

from encamp.errors import InventoryError, Origin
from encamp.inventory.forms.yaml_groups import read_variables
from encamp.inventory.groups import PRIORITY
from encamp.inventory.variables import Value
from encamp.inventory.yaml_document import parse_file

_ENDINGS = ("", ".yml", ".yaml", ".json")


class VarsFolder:
    """A ``group_vars`` or ``host_vars`` folder. ``references`` gathers the names used by the templates read."""

    def __init__(self, path: str, references: set[str]) -> None:
        self.path, self._references = path, references
        self._names = _entries(path) if os.path.lexists(path) else []

    def read(self, name: str) -> dict[str, Value]:
        """Variables for ``name`` from ``name``, ``name.yml``, ``name.yaml``, ``name.json`` or the folder ``name/``.

        Raises InventoryError when two of them exist: Ansible reads the first and silently ignores the other.
        """
        found = [name + ending for ending in _ENDINGS if name + ending in self._names]
        if len(found) > 1:
            first = os.path.join(self.path, found[0])
            text = f"both {found[0]} and {found[1]} exist, and Ansible would read only {found[0]}"
            raise InventoryError(text, "keep one of them", Origin(first))
        variables: dict[str, Value] = {}
        for file in _files(os.path.join(self.path, found[0])) if found else []:
            variables.update(self._read_file(file))
        return variables

    def strangers(self, known: set[str]) -> list[str]:
        """Files and folders that belong to none of the ``known`` names, so that nothing reads them."""
        return [entry for entry in self._names if entry not in known and self._stem(entry) not in known]

    def _stem(self, entry: str) -> str:
        return os.path.splitext(entry)[0] if entry.endswith(_ENDINGS[1:]) else entry

    def _read_file(self, path: str) -> dict[str, Value]:
        document = parse_file(path)
        document.references = self._references
        if document.root is None:
            return {}
        variables = read_variables(document, document.root, "a file of variables")
        priority = variables.get(PRIORITY)
        if priority:
            fix = "move it to the group's vars: in the inventory file"
            raise InventoryError(f"{PRIORITY} has no effect here", fix, priority.origin)
        return variables


def _files(path: str) -> list[str]:
    """The file itself, or all files of variables below a folder, by name."""
    if not os.path.isdir(path):
        return [path]
    found = []
    for name in _entries(path):
        below, ending = os.path.join(path, name), os.path.splitext(name)[1]
        if not ending or (ending in _ENDINGS and not os.path.isdir(below)):
            found += _files(below)
    return found


def _entries(folder: str) -> list[str]:
    """What a folder holds, by name, without hidden files and editors' copies. Raises InventoryError."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InventoryError(f"cannot read it: {error.strerror}", "check its path and mode", Origin(folder)) from None
    return [name for name in names if not name.startswith(".") and not name.endswith("~")]
