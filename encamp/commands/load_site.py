"""What a command begins with: the inventory read and checked, its hosts selected."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence, Set

from encamp.cli.options import Options
from encamp.commands.all_settings import ALL_SETTINGS
from encamp.errors import EncampError, NoHosts, UsageError
from encamp.inventory import location
from encamp.inventory.host import Host
from encamp.inventory.load import Inventory, hosts_of, load_inventory, select_hosts
from encamp.output.history import last_run
from encamp.output.terminal import printable_lines, report
from encamp.secrets.store import Missing
from encamp.site import Site, SiteHost
from roles import conflicts

THIS_MACHINE = "localhost"


def load_site(
    options: Options, groups: Sequence[str], missing: Missing = "plan", command: str = "", fetch: bool = True
) -> tuple[Site, list[SiteHost]]:
    """Read the inventory whole, check every key, and select the hosts: ``-H``, or else all of ``groups``.

    ``command`` is whose last run ``--retry`` means.
    ``missing``: what becomes of a generated secret that is not stored yet. ``fetch``: whether others may be fetched.
    Raises InventoryError, SettingsError, UsageError; NoHosts where nothing is selected.
    """
    site, selected, _ = load_with(options, groups, "", missing, command, fetch)
    return site, selected


def load_with(
    options: Options,
    groups: Sequence[str],
    beside: str,
    missing: Missing = "plan",
    command: str = "",
    fetch: bool = True,
) -> tuple[Site, list[SiteHost], list[SiteHost]]:
    """The same, and the hosts of the pattern ``beside``, which ``--limit`` and ``--retry`` leave alone."""
    _check_options(options)
    loaded = read_inventory(options)
    named = select_hosts(loaded, options.hosts) if options.hosts else hosts_of(loaded, groups)
    selected = _limited(options, loaded, named, command)
    others = select_hosts(loaded, beside) if beside else []
    site = Site(loaded, [*selected, *others], missing, fetch, options.templates)
    _check_settings(site, {host.name for host in (*selected, *others)})
    return site, [site.host(host.name) for host in selected], [site.host(host.name) for host in others]


def _limited(options: Options, loaded: Inventory, hosts: Sequence[Host], command: str) -> list[Host]:
    """The hosts that ``--limit`` and ``--retry`` leave. Raises InventoryError, UsageError; NoHosts where they leave
    none."""
    names = {host.name for host in hosts}
    if options.limit:
        names &= {host.name for host in select_hosts(loaded, options.limit)}
    if options.retry:
        earlier = last_run(command, str(loaded.path), options.records)
        if earlier is None:
            raise UsageError(
                f"--retry: there is no record of an earlier {command} of this site", "run it without --retry"
            )
        names &= set(earlier.not_well)
    if not names:
        limited = f"--limit {options.limit} matches none of the hosts that this is about"
        raise NoHosts("every host of the last run succeeded" if options.retry else limited, "leave the option out")
    return [host for host in hosts if host.name in names]


def load_this_machine(options: Options, group: str) -> tuple[Site, SiteHost]:
    """Read the inventory whole, check every key, and take this machine as one more host of ``group``.

    Raises InventoryError, SettingsError, UsageError.
    """
    _check_options(options)
    loaded = read_inventory(options)
    variables = loaded.group_variables(group) if group in loaded.groups else loaded.variables
    this = loaded.with_faults(Host(THIS_MACHINE, ("all", group), variables, directory=str(loaded.directory)))
    site = Site(loaded, [this], "refuse", templates=options.templates)
    _check_settings(site, {this.name})
    return site, site.host(this.name)


def _check_options(options: Options) -> None:
    """Raises UsageError for what an option cannot be, and for options that do not go together."""
    if options.forks < 1:
        raise UsageError("--forks must be a number from 1", "for example --forks 10")
    if options.want_exit_code and not options.check:
        raise UsageError("--exit-code requires --check", "add --check; without it, hosts are changed")


def read_inventory(options: Options) -> Inventory:
    """The site that the options name, with what ``--set`` gives. Its faults are the caller's to judge.

    Raises InventoryError, UsageError.
    """
    sources = location.locate(options.inventory, options.home)
    loaded = load_inventory(sources, location.parse_overrides(options.overrides), options.home, tolerant=True)
    for note in loaded.notes:
        report(printable_lines(f"warning: {note}"), sys.stderr)
    return loaded


def warn_of(errors: Iterable[EncampError], why: str) -> None:
    """Report faults that do not stop the command, each once. ``why`` says why not."""
    for text in dict.fromkeys(f"warning: {error} ({why})" for error in errors):
        report(printable_lines(text), sys.stderr)


def _check_settings(site: Site, selected: Set[str]) -> None:
    """Every host's settings: a fault at a selected one is an error, elsewhere a warning.

    Where a plan needs what another host says, it raises the fault of that host itself.
    """
    from encamp.settings.check import errors_of, own_errors
    from encamp.settings.read import combined

    found: list[tuple[EncampError, bool]] = []
    faulty = set()
    for host in site.hosts:
        errors: list[EncampError] = [*host.inventory.faults]
        try:
            for view in host.instances:
                own = own_errors(view.own, ALL_SETTINGS)
                errors += own or errors_of(view.given_settings, ALL_SETTINGS)
        except EncampError as error:
            errors.append(error)
        faulty.update([host.name] if errors else [])
        found += [(error, host.name in selected) for error in errors]
    found += [(each.error, not selected.isdisjoint(each.hosts)) for each in conflicts.find(site, faulty)]
    if any(matters for _, matters in found):
        raise combined([error for error, matters in found if matters])
    warn_of((error for error, _ in found), "concerns no host of this run")
