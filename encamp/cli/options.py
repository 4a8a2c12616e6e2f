"""What every fleet task takes, and what it opens with: site, listeners, reach."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from encamp import site
from encamp.errors import EncampError, UsageError
from encamp.inventory import load as inventory
from encamp.output import history as runs
from encamp.output import text as report
from encamp.output.broadcast import Reports, json_report
from encamp.output.terminal import never_fail, tell
from encamp.output.text import Listener
from encamp.planning.rollout import ALL_AT_ONCE, Rollout
from encamp.planning.templates import Templates, templates_of
from encamp.running import connectors, passwords
from encamp.running.run import Mode
from encamp.secrets.store import Missing
from encamp.shared.record import record
from roles import conflicts, stages

if TYPE_CHECKING:
    import fabric

THIS_MACHINE = "localhost"


@record
class Options:
    """The options that tasks share. ``hosts`` is the text of ``-H``; empty: the task's own group.

    ``instance`` limits a task to the instance of that name; empty: all. Of the hosts only those that ``limit`` names
    take part, and with ``retry`` only those that did not end well last time. ``wait``: seconds for a host's lock.
    ``home``: the folder of the fabfile, with what belongs to the site; empty: the current folder.
    ``rotating``: the secret whose change has this run as a step; ``append``: and an earlier step began the files.
    """

    config: fabric.Config
    hosts: str = ""
    inventory: str = ""
    check: bool = False
    diff: bool = False
    want_exit_code: bool = False
    overrides: Sequence[str] = ()
    json_file: str = ""
    append: bool = False
    junit_file: str = ""
    verbose: bool = False
    forks: int = 10
    instance: str = ""
    limit: str = ""
    retry: bool = False
    rollout: Rollout = ALL_AT_ONCE
    wait: int = 0
    rotating: str = ""
    home: str = ""

    @property
    def mode(self) -> Mode:
        return Mode(self.check, self.diff, self.forks, self.rollout, self.wait)

    @property
    def records(self) -> Path:
        """Where runs are recorded."""
        return Path(self.home, runs.FOLDER)

    @property
    def templates(self) -> Templates:
        """The site's own templates before those of encamp."""
        return templates_of(Path(self.home))


def load_site(
    options: Options, groups: Sequence[str], missing: Missing = "plan", command: str = "", fetch: bool = True
) -> tuple[site.Site, list[site.SiteHost]]:
    """Read the inventory whole, check every key, and select the hosts: ``-H``, or else all of ``groups``.

    ``command`` is whose last run ``--retry`` means.
    ``missing``: what becomes of a generated secret that is not stored yet. ``fetch``: whether others may be fetched.
    Raises InventoryError, SettingsError, UsageError.
    """
    _check_options(options)
    loaded = load_inventory(options)
    pattern = options.hosts or ",".join(group for group in groups if group in loaded.groups)
    if not pattern:
        raise UsageError(
            f"no hosts: {loaded.path} has no group {' or '.join(groups)}", "name hosts with -H, or fill the inventory"
        )
    selected = _limited(options, loaded, inventory.select(loaded, pattern), command)
    fleet = site.Site(loaded, selected, missing, fetch, options.templates)
    _check_settings(fleet)
    return fleet, [fleet.host(host.name) for host in selected]


def _limited(
    options: Options, loaded: inventory.Inventory, hosts: Sequence[inventory.Host], command: str
) -> list[inventory.Host]:
    """The hosts that ``--limit`` and ``--retry`` leave. Raises InventoryError, and UsageError where none is left."""
    names = {host.name for host in hosts}
    if options.limit:
        names &= {host.name for host in inventory.select(loaded, options.limit)}
    if options.retry:
        earlier = runs.last(command, str(loaded.path), options.records)
        if earlier is None:
            raise UsageError(f"--retry: no earlier {command} of this site is on record", "run it without --retry")
        names &= set(earlier.not_well)
    if not names:
        reason = "every host of the last run ended well" if options.retry else f"--limit {options.limit} leaves no host"
        raise UsageError(reason, "leave the option out")
    return [host for host in hosts if host.name in names]


def load_this_machine(options: Options, group: str) -> tuple[site.Site, site.SiteHost]:
    """Read the inventory whole, check every key, and take this machine as one more host of ``group``.

    Raises InventoryError, SettingsError.
    """
    loaded = load_inventory(options)
    variables = loaded.group_variables(group) if group in loaded.groups else loaded.variables
    this = inventory.Host(THIS_MACHINE, ("all", group), variables, directory=str(loaded.path.parent))
    fleet = site.Site(loaded, [this], "refuse", templates=options.templates)
    _check_settings(fleet)
    return fleet, fleet.host(this.name)


def _check_options(options: Options) -> None:
    """Raises UsageError for what an option cannot be, and for options that do not go together."""
    if options.forks < 1:
        raise UsageError("--forks must be a number from 1", "for example --forks 10")
    if options.want_exit_code and not options.check:
        raise UsageError("--exit-code tells what --check found", "give --check, too; without it hosts are changed")


def load_inventory(options: Options) -> inventory.Inventory:
    """The site that the options name, with what ``--set`` gives. Raises InventoryError, UsageError."""
    loaded = inventory.load(site.locate(options.inventory, options.home), site.parse_overrides(options.overrides))
    for note in loaded.notes:
        tell(f"warning: {note}", sys.stderr)
    return loaded


def _check_settings(fleet: site.Site) -> None:
    """Every host's settings, selected or not: peers read each other's. Unknown keys fail with the nearest name."""
    from encamp.settings.read import check_hosts, check_own

    classes = (connectors.Settings, passwords.Settings, *stages.SETTINGS)
    views = [view for host in fleet.hosts for view in host.instances]
    for view in views:
        check_own(view.own, classes)
    check_hosts([view.inventory for view in views], classes)
    conflicts.check(fleet)


def reporting(
    options: Options,
    command: str,
    console: Listener | None = None,
    check: bool | None = None,
    record: bool = True,
    brief: bool = False,
) -> Reports:
    """Who hears of a command: the console, files that were asked for, and (``record``) the run's own record.

    ``check`` where it is not the option's; ``brief``: the recap is of hosts that are not well. Raises UsageError.
    """
    checks = options.check if check is None else check
    files: list[Listener] = [json_report(options.json_file, options.append)] if options.json_file else []
    if options.junit_file:
        from encamp.output.junit import JUnit

        files.append(JUnit(options.junit_file, options.append))
    shown = console or report.console(sys.stdout, checks, options.verbose, brief)
    return Reports(command, checks, [shown, *files], options.records if record else None)


def guarded(command: Callable[[], int]) -> int:
    """Run a command; an operator's mistake becomes a message and its exit code, never a traceback.

    SIGTERM, which CI systems send to a cancelled job, and the SIGHUP of a closed terminal end it as Ctrl-C does.
    """
    never_fail(sys.stdout, sys.stderr)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)
    try:
        return command()
    except EncampError as error:
        tell(f"error: {error}", sys.stderr)
        if error.fix:
            tell(f"  fix: {error.fix}", sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        tell("stopped: hosts under way finish their step at hand; run again to continue", sys.stderr)
        return 130
