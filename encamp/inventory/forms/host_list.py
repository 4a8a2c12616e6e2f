"""Hosts named on the command line: ``--inventory vm1,vm2:2222``. A single host has a comma behind it, as in Ansible."""

from __future__ import annotations

import os

from encamp.errors import Origin
from encamp.inventory.groups import Tree, addresses
from encamp.inventory.ranges import has_range
from encamp.inventory.variables import Value


def is_host_list(source: str) -> bool:
    """Whether a source is a list of hosts, and no file."""
    return "," in source and not os.path.lexists(source)


def read(tree: Tree, source: str) -> None:
    """Add the hosts to the tree; those that it has already stay as they are."""
    origin = Origin("--inventory")
    for written in filter(None, (word.strip() for word in source.split(","))):
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
