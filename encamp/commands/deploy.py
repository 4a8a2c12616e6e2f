"""``fab deploy``: make the hosts what the files say, in stage order, and prove it."""

from __future__ import annotations

from encamp.cli.options import Options, load_site, reporting
from encamp.errors import Origin
from encamp.output.broadcast import Reports
from encamp.output.text import Outcome, tell
from encamp.planning import plan
from encamp.planning.plan import HostPlan
from encamp.planning.schedule import Wave, waves
from encamp.running.connectors import SshReach
from encamp.running.host_failures import exit_code
from encamp.running.run import Run
from encamp.secrets.store import Missing, changing
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles import conflicts, stages
from roles.network import access, address
from roles.prefect.groups import is_server

COMMAND = "deploy"


@record
class Prepared:
    """All that a deploy will do, worked out and validated before any host is touched."""

    waves: list[Wave]
    plans: dict[tuple[str, tuple[str, ...]], HostPlan]

    @property
    def jobs(self) -> list[tuple[tuple[str, tuple[str, ...]], HostPlan]]:
        """Every session, (host, stages) and plan, in the order in which they are begun."""
        return [
            ((name, stages), self.plans[name, stages]) for wave in self.waves for name, stages in wave.hosts.items()
        ]


def deploy(options: Options, verify: bool = True) -> int:
    """Converge the selected hosts, or all databases, servers and workers. Returns the exit code; raises EncampError."""
    with reporting(options, COMMAND) as told:
        fleet, selected = load(options, "plan" if options.check else "make")
        prepared = prepare(fleet, selected, verify, options.instance)
        outcomes = carry_out(options, fleet, selected, prepared, told)
        told.end(options.want_exit_code)
    return ended(options, fleet, selected, outcomes)


def load(options: Options, missing: Missing) -> tuple[Site, list[SiteHost]]:
    """The site, and the hosts that a deploy is for. ``missing``: what becomes of a generated secret that is not stored.

    Raises EncampError.
    """
    groups = tuple(stage.group for stage in stages.STAGES)
    return load_site(options, groups, missing, COMMAND)


def carry_out(
    options: Options, fleet: Site, selected: list[SiteHost], prepared: Prepared, told: Reports
) -> list[Outcome]:
    """Work through what was prepared."""
    reach = SshReach(fleet, options.config, hosts=[host.name for host in selected])
    told.start(str(fleet.inventory.path), [host.name for host in selected])
    reach.tell(told.warn)
    for host in selected:
        told.warn(host.name, [*stages.warnings(host, fleet, options.instance), *conflicts.warnings(host, fleet)])
    return Run(COMMAND, options.mode, reach, [told]).converge(prepared.waves, prepared.plans)


def ended(options: Options, fleet: Site, selected: list[SiteHost], outcomes: list[Outcome]) -> int:
    """Say what to do next after a deploy that went well. Returns the exit code."""
    code = exit_code(outcomes, options.check, options.want_exit_code)
    if code == 0 and not options.check:
        _tell_address(fleet, selected, outcomes)
    if not options.check and changing(fleet.secrets.folder):
        from encamp.commands.rotate import conclude

        whole = set() if options.instance else {host.name for host in selected}
        conclude(fleet, whole, code == 0, options.rotating)
    return code


def prepare(fleet: Site, selected: list[SiteHost], verify: bool, instance: str = "") -> Prepared:
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
            plans[name, names] = plan.build(name, stages.items(fleet.host(name), fleet, taken, verify, instance))
    return Prepared(made, plans)


def _tell_login(fleet: Site, view: SiteHost, title: str) -> None:
    """Where a generated auth string is kept: the UI asks people for it."""
    if access.auth(view, fleet) is not None and access.kept_in(view):
        file = Origin(str(fleet.inventory.path.parent / access.kept_in(view)))
        tell(f"  login of {title}: {access.USER}:<the text in {file}>")


def _tell_address(fleet: Site, selected: list[SiteHost], outcomes: list[Outcome]) -> None:
    """What to do next, with the address that clients use."""
    healthy = {outcome.host for outcome in outcomes if outcome.status == "ok"}
    for host in selected:
        if host.name in healthy and is_server(host):
            for view in host.instances:
                title = host.name if len(host.instances) == 1 else f"{host.name} ({view.instance})"
                tell(f"\n  UI of {title}:   {address.public_url(view)}")
                tell(f"  API of {title}:  {address.api_url(view)}")
                _tell_login(fleet, view, title)
            tell(f"  next: fab configure-client --server {host.name}   (or fab -H LAPTOP configure-client)")
