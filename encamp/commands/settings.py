"""``fab settings``: every effective setting of a host, and the file and line that set it."""

from __future__ import annotations

from typing import Any

from encamp.cli.options import Options
from encamp.commands.all_settings import ALL_SETTINGS
from encamp.commands.load_site import load_site
from encamp.errors import Origin
from encamp.inventory.listing import redacted
from encamp.output.terminal import print_result
from encamp.secrets.vault.values import VEIL
from encamp.settings.describe import describe
from encamp.settings.type_names import yaml_text
from encamp.shared.secret_names import is_secret_by_name
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
    return name, shown(host.inventory.variables[name].data, name), str(origin)


def shown(data: Any, name: str = "") -> str:
    """A value as YAML writes it on a line. What came out of a vault, the login in a URL, and the secrets that other
    roles of the inventory have in plain text (by the names of their variables) show as ``***``."""
    return without_login(yaml_text(_veiled(redacted(data), name)))


def _veiled(data: Any, name: str) -> Any:
    if isinstance(data, dict):
        return {key: _veiled(item, str(key)) for key, item in data.items()}
    if isinstance(data, list):
        return [_veiled(item, name) for item in data]
    return VEIL if isinstance(data, (str, int, float)) and is_secret_by_name(name, str(data)) else data
