"""``fab restart``, ``fab stop`` and ``fab start``: the units of a site, in the order of dependence."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence

from encamp.cli.options import Options
from encamp.commands.load_site import load_site
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import Prepared, connect, run_hosts
from encamp.errors import UsageError
from encamp.output.terminal import report
from encamp.planning import plan
from encamp.planning.plan import Item
from encamp.planning.rollout import Amount, waves
from encamp.shared.record import replace
from encamp.site import Site, SiteHost
from encamp.support import user
from roles import power
from roles.power import SERVERS, WORKERS, Choice
from roles.prefect import groups, unit_words

UPWARDS, DOWNWARDS = (SERVERS, WORKERS), (WORKERS, SERVERS)
Items = Callable[[SiteHost, Site, Sequence[str], Choice], Iterator[Item]]


def restart(options: Options, only: Sequence[str] = ()) -> int:
    """Restart servers, one host after the other until healthy, then workers, which finish their flow runs first.

    ``only``: words or patterns of units. Returns the exit code; raises EncampError.
    """
    if options.rollout.batch is None:
        options = replace(options, rollout=replace(options.rollout, batch=Amount(1)))
    return _run("restart", power.restart, UPWARDS, options, only)


def start(options: Options, only: Sequence[str] = ()) -> int:
    """Start what does not run: servers until healthy, then workers. Returns the exit code; raises EncampError."""
    return _run("start", power.start, UPWARDS, options, only)


def stop(options: Options, only: Sequence[str] = ()) -> int:
    """Stop workers, which finish their flow runs first, then servers. Returns the exit code; raises EncampError."""
    code = _run("stop", power.stop, DOWNWARDS, options, only)
    if code == 0 and not options.check:
        report("\n  stopped until `fab start`, a deploy, or the next boot of a host; databases go on running")
    return code


def drain(options: Options, host: str) -> int:
    """Let the workers of hosts (a pattern) finish their flow runs and take no more. Returns the exit code.

    Raises EncampError.
    """
    return _of_workers("drain", power.drain, options, host)


def undrain(options: Options, host: str) -> int:
    """Let the workers of hosts (a pattern) work again. Returns the exit code; raises EncampError."""
    return _of_workers("undrain", power.undrain, options, host)


def _of_workers(command: str, items: Items, options: Options, host: str) -> int:
    if options.hosts:
        raise UsageError(f"{command} has its hosts after it, not with -H", f"`fab {command} {options.hosts}`")
    return _run(command, items, (WORKERS,), replace(options, hosts=host), ("worker",))


def _run(command: str, items: Items, order: Sequence[str], options: Options, only: Sequence[str]) -> int:
    with reporting(options, command) as reports:
        site, selected = load_site(options, (groups.SERVERS, groups.WORKERS), missing="refuse", command=command)
        choice = Choice(unit_words.patterns(only), options.instance, f"{user.who()} from {socket.gethostname()}")
        prepared = prepare(site, selected, items, order, choice)
        connector = connect(options, site, list(dict.fromkeys(name for (name, _), _ in prepared.sessions)), reports)
        run_hosts(command, options.mode, connector, prepared, reports)
        return reports.end()


def prepare(site: Site, selected: Sequence[SiteHost], items: Items, order: Sequence[str], choice: Choice) -> Prepared:
    """What is done on which host, in stages. Raises UsageError where nothing is, SettingsError."""
    units = {
        SERVERS: {host.name: power.server_units(host, choice) for host in selected},
        WORKERS: {host.name: power.worker_units(host, site, choice) for host in selected},
    }
    made = waves([(stage, [name for name, found in units[stage].items() if found]) for stage in order])
    if not made:
        everything = Choice(instance=choice.instance)
        known = [name for host in selected for name in power.server_units(host, everything)]
        known += [name for host in selected for name in power.worker_units(host, site, everything)]
        have = ", ".join(dict.fromkeys(map(unit_words.short, known))) or "none"
        raise UsageError("no unit of the selected hosts is meant", f"they have: {have}")
    plans = {}
    for wave in made:
        for name, stages in wave.hosts.items():
            plans[name, stages] = plan.build(name, items(site.host(name), site, stages, choice))
    return Prepared(made, plans)
