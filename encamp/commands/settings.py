"""``fab settings``: every effective setting of a host, and the file and line that set it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encamp.cli.options import Options
from encamp.commands.all_settings import ALL_SETTINGS
from encamp.commands.load_site import load_site
from encamp.errors import Origin
from encamp.inventory.listing import redacted
from encamp.output.terminal import print_result
from encamp.settings.describe import describe
from encamp.settings.type_names import yaml_text
from encamp.shared.secret_names import may_be_secret
from encamp.site import SiteHost
from encamp.support.urls import VEIL, without_login

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
    """A value as YAML writes it on a line. ``***`` stands for what came out of a vault, for the login in a URL, and for
    secrets among the variables of a program, which are known by their names."""
    return without_login(yaml_text(_veiled(redacted(data), name)))


def _veiled(data: Any, name: str) -> Any:
    """``data``, the value of the setting ``name``, without secrets among variables. A secret's source may be shown."""
    if isinstance(data, (list, tuple)):
        return [_veiled(item, name) for item in data]
    if not isinstance(data, Mapping):
        return data
    veiled = {key: _veiled(item, str(key)) for key, item in data.items()}
    if name.endswith("environment"):
        for key, item in veiled.items():
            if isinstance(item, str) and may_be_secret(str(key), item):
                veiled[key] = VEIL
    return veiled
