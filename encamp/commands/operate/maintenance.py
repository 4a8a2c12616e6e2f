"""``fab maintenance on`` and ``off``: servers shut, so that their clients wait, and open again."""

from __future__ import annotations

import re
from collections.abc import Iterator

from encamp.cli.options import Options
from encamp.commands.load_site import load_site
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from encamp.errors import UsageError
from encamp.planning.plan import Item, Step
from encamp.site import Site, SiteHost
from roles.prefect.account import layout_of
from roles.prefect.groups import SERVERS, is_server
from roles.server import door, native

COMMAND = "maintenance"
ON, OFF = "on", "off"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SHORTEST, LONGEST = 60, 30 * 86400


def maintenance(options: Options, state: str, length: str, message: str) -> int:
    """Shut the selected servers, or open them. Returns the exit code; raises EncampError.

    ``length``: how long at most, such as 30m; empty: until they are opened. ``message``: for people who open the UI.
    """
    if state not in (ON, OFF):
        raise UsageError(f"maintenance {state}: not a state", "`fab maintenance on` or `fab maintenance off`")
    if state == OFF and (length or message):
        raise UsageError("--for and --message go with `maintenance on`", "leave them out")
    seconds = duration(length) if length else 0
    with reporting(options, COMMAND) as reports:
        site, selected = load_site(options, (SERVERS,), missing="refuse")
        views = {host.name: _servers(host, options.instance) for host in selected}
        items = {
            name: [item for view in of_host for item in _items(view, site, state, message, seconds)]
            for name, of_host in views.items()
        }
        prepared = single_stage(COMMAND, items)
        connector = connect(options, site, list(items), reports)
        run_hosts(COMMAND, options.mode, connector, prepared, reports)
        return reports.end()


def _items(view: SiteHost, site: Site, state: str, message: str, seconds: int) -> Iterator[Item]:
    """What shuts the server of an instance, or opens it and sees that it is healthy. Raises SettingsError."""
    part = view.instance if len(view.instances) > 1 else ""
    if state == ON:
        yield Step(door.shut(view, message, seconds), instance=part)
        return
    yield Step(door.opened(view), instance=part)
    yield Step(native.health(view, site, layout_of(view)), when_changed=True, instance=part)


def _servers(host: SiteHost, instance: str) -> list[SiteHost]:
    """The servers of a host, or the one that is named. Raises UsageError where there is none."""
    found = [view for view in host.instances if is_server(view) and instance in ("", view.instance)]
    if not found:
        known = ", ".join(view.instance for view in host.instances if is_server(view))
        reason = f"{host.name} has no server {instance} (it has {known})" if known else f"{host.name} is no server"
        raise UsageError(reason, "see `fab inventory`")
    return found


def duration(text: str) -> int:
    """``30m``, ``2h`` or ``1h30m`` in seconds. Raises UsageError."""
    words = re.findall(r"(\d+)([smhd])", text)
    total = sum(int(number) * UNITS[unit] for number, unit in words)
    if "".join(number + unit for number, unit in words) != text or not SHORTEST <= total <= LONGEST:
        raise UsageError(f"--for {text}: not a time from 1m to 30d", "for example --for 30m")
    return total
