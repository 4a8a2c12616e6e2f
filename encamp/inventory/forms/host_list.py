"""Hosts named on the command line: ``--inventory vm1,vm2:2222``. A single host has a comma behind it, as in Ansible.

A file or folder that exists is one, whatever is in its name.
"""

from __future__ import annotations

import os

from encamp.errors import InventoryError, Origin
from encamp.inventory.groups import Tree, addresses
from encamp.inventory.ranges import has_range
from encamp.inventory.variables import Value

#: What ends the name of a file, and of no host.
_ENDINGS = (".yml", ".yaml", ".json", ".ini")


def is_host_list(source: str) -> bool:
    """Whether a source is a list of hosts, and no file."""
    return "," in source and not os.path.lexists(os.path.expanduser(source))


def read(tree: Tree, source: str) -> None:
    """Add the hosts to the tree; those that it has already stay as they are. Raises InventoryError for what can only
    be files: one missing among several in ENCAMP_INVENTORY, or several behind one ``--inventory``."""
    origin = Origin("--inventory")
    words = [word for word in (word.strip() for word in source.split(",")) if word]
    files = [word for word in words if os.sep in word or word.endswith(_ENDINGS)]
    if files:
        missing = next((word for word in files if not os.path.exists(os.path.expanduser(word))), "")
        fix = "name each file and folder by an --inventory of its own; hosts are a list without any: vm1,vm2"
        raise InventoryError(f"there is no inventory at {missing or source}", fix)
    for written in words:
        name, port = written, None
        if not has_range(written):
            try:
                names, port = addresses(written)
                name = names[0]
            except ValueError:
                pass  # Ansible takes what is no address as a name, too
        if name not in tree.hosts:
            behind = None if port is None else Value(port, origin)
            tree.add_hosts("ungrouped", [name], {}, source, behind)
