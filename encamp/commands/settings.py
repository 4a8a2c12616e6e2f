"""``fab settings``: every effective setting of a host, and the file and line that set it."""

from __future__ import annotations

from typing import Any

from encamp.cli.options import Options
from encamp.commands.all_settings import ALL_SETTINGS
from encamp.commands.load_site import load_site
from encamp.errors import Origin
from encamp.inventory.listing import redacted
from encamp.output.terminal import print_result
from encamp.settings.describe import describe
from encamp.settings.type_names import yaml_text
from encamp.site import SiteHost
from encamp.support.urls import without_login

DEFAULT = "default"


def settings(options: Options) -> int:
    """Print the settings of the selected hosts, or of all, each instance's. Secrets are shown by their source only."""
    _, selected = load_site(options, ("all",))
    for host in selected:
        for view in host.instances:
            title = f"{host.name}, instance {view.instance}" if len(host.instances) > 1 else host.name
            print_result(f"{title}  (groups: {', '.join(host.inventory.groups)})")
            found = rows(view)
            width = max(len(name) for name, _, _ in found)
            for name, value, origin in found:
                print_result(f"  {name:<{width}}  {value}   [{origin}]")
    return 0


def rows(host: SiteHost) -> list[tuple[str, str, str]]:
    """Name, effective value and origin of every setting, then of what else the inventory says of the host."""
    docs = [doc for doc in describe(ALL_SETTINGS) if "." not in doc.name]
    known = [(doc.name, doc.default) for doc in docs]
    further = [(name, "") for name in sorted(set(host.inventory.variables) - {name for name, _ in known})]
    return [_row(host, name, default) for name, default in [*known, *further]]


def _row(host: SiteHost, name: str, default: str) -> tuple[str, str, str]:
    origin: Origin | None = host.origin(name)
    if origin is None:
        return name, default, DEFAULT
    return name, shown(host.inventory.variables[name].data), str(origin)


def shown(data: Any) -> str:
    """A value as YAML writes it on a line; what came out of a vault, and the login in a URL, as ``***``."""
    return without_login(yaml_text(redacted(data)))
