"""``fab deploy``: bring hosts to the declared state, stage by stage, and verify them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from encamp.cli.options import Options
from encamp.commands.load_site import load_site
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import Prepared, connect, run_hosts
from encamp.errors import Origin
from encamp.output.broadcast import ReportBroadcaster
from encamp.output.outcome import Outcome, exit_code
from encamp.output.terminal import report
from encamp.planning import plan
from encamp.planning.rollout import waves
from encamp.secrets.store import Missing, changing
from encamp.site import Site, SiteHost
from roles import conflicts, stages
from roles.network import access, address
from roles.prefect.groups import CLIENTS, is_server

if TYPE_CHECKING:
    from encamp.commands.from_here import Proofs

COMMAND = "deploy"
#: The groups that a deploy is for.
GROUPS = tuple(stage.group for stage in stages.STAGES)


def deploy(options: Options, verify: bool = True, bundle: str = "") -> int:
    """Converge the selected hosts, or all databases, servers and workers, from a ``bundle`` instead of the network.

    Returns the exit code; raises EncampError.
    """
    with reporting(options, COMMAND) as reports:
        site, selected = load(options, "plan" if options.check else "make")
        prepared = prepare(site, selected, verify, options.instance)
        prepared = _offline(prepared, Path(bundle)) if bundle else prepared
        outcomes = carry_out(options, site, selected, prepared, reports)
        proofs = _proofs(options, site, selected, outcomes) if verify else None
        wrong = proofs.exit_code if proofs else 0
        reports.end(options.want_exit_code, otherwise=wrong)
    code = ended(options, site, selected, outcomes)
    if proofs:
        proofs.report()
    return code or wrong


def _proofs(options: Options, site: Site, selected: list[SiteHost], outcomes: list[Outcome]) -> Proofs | None:
    """What this machine sees of the servers that changed; None where nothing has. Raises SettingsError."""
    if options.check or not any(outcome.counts["changed"] for outcome in outcomes):
        return None  # and what proves need not be imported, which takes as long as all the rest of a no-op
    from encamp.commands.from_here import changed_servers

    return changed_servers(site, selected, outcomes, options.instance)


def load(options: Options, missing: Missing) -> tuple[Site, list[SiteHost]]:
    """The site, and the hosts that a deploy is for. ``missing``: what becomes of a generated secret that is not stored.

    Raises EncampError.
    """
    return load_site(options, GROUPS, missing, COMMAND)


def carry_out(
    options: Options, site: Site, selected: list[SiteHost], prepared: Prepared, reports: ReportBroadcaster
) -> list[Outcome]:
    """Carry out what was prepared."""
    connector = connect(options, site, [host.name for host in selected], reports)
    for host in selected:
        reports.warn(host.name, [*stages.warnings(host, site, options.instance), *conflicts.warnings(host, site)])
    return run_hosts(COMMAND, options.mode, connector, prepared, reports)


def ended(options: Options, site: Site, selected: list[SiteHost], outcomes: list[Outcome]) -> int:
    """After a deploy that succeeded, report what to do next. Returns the exit code."""
    code = exit_code(outcomes, options.check, options.want_exit_code)
    if code == 0 and not options.check:
        _report_addresses(site, selected, outcomes)
    if not options.check and changing(site.secrets.folder):
        from encamp.commands.finish_rotation import finish_rotations

        whole = set() if options.instance else {host.name for host in selected}
        finish_rotations(site, whole, code == 0, options.rotating)
    return code


def prepare(site: Site, selected: list[SiteHost], verify: bool, instance: str = "") -> Prepared:
    """Plan every selected host, or just one instance of each; touches nothing.

    Raises PlanError, SettingsError, UsageError.
    """
    by_name = {host.name: stages.taking_part(host, instance) for host in selected}
    order = [(stage.name, [name for name, taken in by_name.items() if stage in taken]) for stage in stages.STAGES]
    made = waves(order)
    plans = {}
    for wave in made:
        for name, names in wave.hosts.items():
            taken = [stage for stage in stages.STAGES if stage.name in names]
            plans[name, names] = plan.build(name, stages.items(site.host(name), site, taken, verify, instance))
    return Prepared(made, plans)


def _offline(prepared: Prepared, path: Path) -> Prepared:
    """The same from a bundle. Raises UsageError where it is damaged, or lacks something."""
    from encamp.planning import offline

    bundle = offline.read(path)
    return Prepared(prepared.waves, {key: offline.applied(built, bundle) for key, built in prepared.plans.items()})


def _report_login(site: Site, view: SiteHost, title: str) -> None:
    """Where a generated auth string is kept: the UI asks people for it."""
    if access.auth(view, site) is not None and access.kept_in(view):
        file = Origin(str(site.inventory.directory / access.kept_in(view)))
        report(f"  login of {title}: {access.USER}:<the text in {file}>")


def _report_addresses(site: Site, selected: list[SiteHost], outcomes: list[Outcome]) -> None:
    """What to do next, with the address that clients use."""
    healthy = {outcome.host for outcome in outcomes if outcome.status == "ok"}
    for host in selected:
        if host.name in healthy and is_server(host):
            for view in host.instances:
                title = host.name if len(host.instances) == 1 else f"{host.name} ({view.instance})"
                report(f"\n  UI of {title}:   {address.public_url(view)}")
                report(f"  API of {title}:  {address.api_url(view)}")
                _report_login(site, view, title)
            report(f"  next: fab configure-client --server {host.name}   (or fab -H LAPTOP configure-client)")
            if not site.in_group(CLIENTS):
                report(
                    f"  laptops without SSH: fab configure-client --server {host.name} --script FILE   (or --commands)"
                )
