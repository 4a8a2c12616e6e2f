"""``fab adopt``: finds a Prefect server that was set up by hand, and writes the inventory lines that continue it."""

from __future__ import annotations

import datetime
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import yaml

from encamp.cli.options import Options
from encamp.commands.load_site import load_site
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from encamp.errors import EncampError, SettingsError, UsageError
from encamp.output.listener import Listener
from encamp.output.terminal import report
from encamp.planning.rollout import Mode
from encamp.secrets import store
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from encamp.support import atomic_file
from encamp.transport.events import HostEvent
from roles.adopt.discovery import Discovery, discoveries
from roles.adopt.kinds.keeper import CONTAINER, RESTARTERS, SESSION
from roles.adopt.kinds.survey import Survey
from roles.adopt.kinds.takeover import TakeoverUndone
from roles.adopt.lines import Lines, lines_for
from roles.prefect.groups import SERVERS, is_server
from roles.prefect.layout import DEFAULT
from roles.prefect.release import Settings as PrefectSettings
from roles.prefect.release import load_release

FAILED = 2
#: Bytes of a pad: settings of several servers.
PAD = 65536


class _Found(Listener):
    """Keeps what surveys report, by host."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.servers: dict[str, list[str]] = {}
        self.sealed: dict[str, str] = {}

    def event(self, host: str, event: HostEvent) -> None:
        if event["event"] == "finding":
            with self._lock:
                if "server" in event:
                    self.servers.setdefault(host, []).append(event["server"])
                if "sealed" in event:
                    self.sealed[host] = event["sealed"]


def adopt(options: Options, server: str = "") -> int:
    """Look at each host, describe its servers, and write its host_vars. Returns the exit code; raises EncampError.

    ``server``: which one, on a host with several. With --check nothing is written on this machine either.
    """
    if not options.hosts:
        raise UsageError("adopt needs the names of its hosts", "for example: fab -H vm1 adopt")
    if options.instance:
        raise UsageError("--instance requires --undo", "move the lines that adopt writes below instances: yourself")
    site, selected = load_site(options, ())
    found, code = survey(options, site, selected)
    codes = [_conclude(host, found[host.name], server, options.check) for host in selected if host.name in found]
    return FAILED if FAILED in codes else code


def undo(options: Options, server: str = "") -> int:
    """Start adopted servers again, and stop encamp's in their place. Returns the exit code; raises EncampError.

    ``server`` is what adopt takes: an undo knows the server, and refuses the option.
    """
    if not options.hosts:
        raise UsageError("adopt --undo needs the names of its hosts", "for example: fab -H vm1 adopt --undo")
    if server:
        raise UsageError("--undo excludes --server", "leave it out; on a host with several: --instance NAME")
    with reporting(options, "adopt") as reports:
        site, selected = load_site(options, ())
        hosts = [host.name for host in selected]
        prepared = single_stage("adopt", {name: [TakeoverUndone(options.instance or DEFAULT)] for name in hosts})
        connector = connect(options, site, hosts, reports)
        run_hosts("adopt", options.mode, connector, prepared, reports)
        code = reports.end()
    if code == 0 and not options.check:
        report("  next: remove adopt: from the inventory, or else the next deploy adopts the server again")
    return code


def survey(options: Options, site: Site, selected: list[SiteHost]) -> tuple[dict[str, list[Discovery]], int]:
    """What each host has, as root, and the exit code; hosts that could not be looked at are left out, and reported."""
    kept = _Found()
    pads = {host.name: Secret(secrets.token_hex(PAD)) for host in selected}
    with reporting(options, "adopt", check=True, record=False, brief=True) as reports:
        reports.add(kept)
        prepared = single_stage("adopt", {name: [Survey("servers", pad)] for name, pad in pads.items()})
        connector = connect(options, site, list(pads), reports)
        outcomes = run_hosts("adopt", Mode(check=True, forks=options.forks), connector, prepared, reports)
        code = reports.end()
    well = [outcome.host for outcome in outcomes if outcome.status == "ok"]
    found = {name: discoveries(kept.servers.get(name, []), kept.sealed.get(name, ""), pads[name]) for name in well}
    return found, code


def _conclude(host: SiteHost, found: list[Discovery], server: str, check: bool) -> int:
    """Describe what was found, and write or print the lines of the one that is meant."""
    for each in found:
        for line in description(host.name, each):
            report(line)
    named = [each for each in found if server in ("", each.name)]
    if len(named) != 1:
        report(f"{host.name}: {_unclear(found, server)}")
        return FAILED
    try:
        lines = lines_for(host.name, named[0], bool(host.client_address or host.origin("public_url")))
    except EncampError as error:
        report(f"{host.name}: cannot be adopted: {error}\n  fix: {error.fix}")
        return FAILED
    return _write(host, named[0], lines, check)


def _unclear(found: list[Discovery], server: str) -> str:
    names = ", ".join(each.name for each in found)
    if not found:
        return (
            "no Prefect server that encamp did not set up (looked at: processes, units of the system and of users, "
            "containers)"
        )
    return f"no server is called {server}: {names}" if server else f"several servers; choose one with --server: {names}"


def description(host: str, found: Discovery) -> Iterator[str]:
    """What people read of a server."""
    yield f"\n{host}: {found.name}{'' if found.running else ' (not running)'}"
    rows = {
        "kept by": kept_by(found),
        "stops by": found.stop,
        "user": found.user,
        "release": f"Prefect {found.release}, Python {found.python}" if found.release else _unknown(found),
        "database": found.database + (f" ({found.place})" if found.place else ""),
        "holds": ", ".join(f"{count} {what}" for what, count in found.counts.items()) or found.unread,
        "address": f"{found.bind}:{found.port}",
        "API URL": found.api_url,
        "UI's API URL": found.ui_api_url,
        "auth": "user and password" if found.has_auth else "none",
        "home": found.home,
        "drop-ins": ", ".join(found.drop_ins),
    }
    yield from (f"  {name:<13} {value}" for name, value in rows.items() if value)
    for job, keeper, kind, pool, _ in found.runners:
        yield f"  {job:<13} {keeper} ({kind}){f', pool {pool}' if pool else ''}"


def _unknown(found: Discovery) -> str:
    """Why its release is not known: of a traceback the last line says it."""
    return f"unknown: {found.problem.strip().splitlines()[-1]}" if found.problem.strip() else "unknown"


def kept_by(found: Discovery) -> str:
    """What keeps it running, and starts it at boot, in words."""
    if found.kind == CONTAINER and not found.path:
        return f"{found.kind}, no Compose file"
    if found.kind != SESSION:
        return f"{found.kind}, {found.path}" if found.path else found.kind
    inside = f"{found.kind} in {found.keeper}" if found.keeper else found.kind
    if found.keeper in RESTARTERS.values():
        return f"{inside}, which starts it again"
    return f"{inside}, {found.path or 'nothing starts it at boot'}"


def _write(host: SiteHost, found: Discovery, lines: Lines, check: bool) -> int:
    """Write the lines and their secrets beside the inventory; existing files are never replaced."""
    folder = Path(host.inventory.directory)
    text = _text(found, lines)
    existing = [path for path in _files(folder, host.name) if path.exists()]
    for note in lines.notes:
        report(f"  note: {note}")
    if check or existing:
        report(f"\n  # host_vars/{host.name}.yml")
        report("".join(f"  {line}\n" for line in text.splitlines()))
    if existing and not check:
        report(f"  {existing[0]} exists and is not changed: add these lines to it")
    if not check:
        _write_secrets(folder, lines)
    if not check and not existing:
        path = folder / "host_vars" / f"{host.name}.yml"
        path.parent.mkdir(exist_ok=True)
        atomic_file.write(str(path), text.encode(), 0o644)
        report(f"  written: {path}")
    for step in _next(host, found):
        report(f"  next: {step}")
    return 0


def _files(folder: Path, host: str) -> list[Path]:
    return [folder / "host_vars" / f"{host}{ending}" for ending in (".yml", ".yaml", ".json", "")]


def _text(found: Discovery, lines: Lines) -> str:
    today = datetime.date.today().isoformat()
    head = f"# Written by `fab adopt` on {today}: continues {found.name} with its data.\n"
    return head + yaml.safe_dump(dict(lines.settings), sort_keys=False, allow_unicode=True, width=110)


def _write_secrets(folder: Path, lines: Lines) -> None:
    """Raises SettingsError for a file that exists with another content."""
    for name, value in lines.secrets.items():
        store.keep(folder / name, value)
        report(f"  written: {folder / name} (secret)")


def _next(host: SiteHost, found: Discovery) -> Iterator[str]:
    """What to do before, and then the deploy."""
    try:
        load_release(PrefectSettings(prefect_version=found.release), host.inventory.directory)
    except SettingsError:
        yield f"fab lock --prefect {found.release}   (its dependencies; encamp brings no lock of this release)"
    if not is_server(host):
        yield f"add {host.name} to the group {SERVERS} in {host.inventory.directory}"
    yield f"fab -H {host.name} deploy --check --diff, then fab -H {host.name} deploy"
