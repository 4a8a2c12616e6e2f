"""``fab inventory``: the site's groups and hosts, as ``ansible-inventory --graph`` and ``--list`` show them."""

from __future__ import annotations

from encamp.cli.options import Options
from encamp.commands.load_site import read_inventory, warn_of
from encamp.errors import UsageError
from encamp.inventory import listing
from encamp.output.terminal import print_result


def inventory(options: Options, as_graph: bool = False, as_list: bool = False, variables: bool = False) -> int:
    """Print the graph of the whole site, or below the group that ``-H`` names; or all of it as JSON.

    Raises InventoryError, UsageError.
    """
    if as_list and (as_graph or variables or options.hosts):
        raise UsageError("--list always shows every host and variable", "leave --graph, --vars and -H out")
    loaded = read_inventory(options)
    group = options.hosts or "all"
    if group not in loaded.groups:
        raise UsageError(f"{loaded.path} has no group {group}", "name a group with -H, or leave -H out for all")
    needs_values = as_list or variables
    warn_of(listing.faults(loaded) if needs_values else [fault.error for fault in loaded.faults], "shown as written")
    lines = [listing.as_json(loaded)] if as_list else listing.graph(loaded, group, variables)
    print_result("\n".join(lines))
    return 0
