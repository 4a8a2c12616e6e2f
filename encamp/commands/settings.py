"""``fab settings``: every effective setting of a host, and the file and line that set it."""

from __future__ import annotations

from encamp import reach
from encamp.commands.options import Options, load_site
from encamp.errors import Origin
from encamp.report import tell
from encamp.settings import describe
from encamp.site import SiteHost
from roles import stages

DEFAULT = "default"


def settings(options: Options) -> int:
    """Print the settings of the selected hosts, or of all. Secrets are shown by their source only."""
    _, selected = load_site(options, ("all",))
    for host in selected:
        tell(f"{host.name}  (groups: {', '.join(host.inventory.groups)})")
        rows = [_row(host, doc.name, doc.default) for doc in describe((reach.Settings, *stages.SETTINGS))]
        width = max(len(name) for name, _, _ in rows)
        for name, value, origin in rows:
            tell(f"  {name:<{width}}  {value}   [{origin}]")
    return 0


def _row(host: SiteHost, name: str, default: str) -> tuple[str, str, str]:
    origin: Origin | None = host.origin(name)
    if origin is None:
        return name, default, DEFAULT
    value = host.inventory.variables[name].data
    return name, repr(value) if isinstance(value, str) else str(value), str(origin)
