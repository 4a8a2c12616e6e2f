"""``fab undeploy``: take an instance off its hosts, and keep its data."""

from __future__ import annotations

from encamp.cli.options import Options, load_site, reporting
from encamp.errors import UsageError
from encamp.inventory import instances
from encamp.output.text import tell
from encamp.planning import plan
from encamp.planning.schedule import Wave
from encamp.running.connectors import SshReach
from encamp.running.run import Run
from encamp.site import SiteHost
from roles import undeploy as removal

STAGE: tuple[str, ...] = ("undeploy",)


def undeploy(options: Options) -> int:
    """Remove one instance's units, firewall rule and settings from each host. Returns the exit code.

    The instance need not stand in the inventory any more. Raises EncampError.
    """
    if not options.hosts:
        raise UsageError("undeploy needs its hosts named", "for example: fab -H vm1 undeploy")
    with reporting(options, "undeploy") as told:
        fleet, selected = load_site(options, ())
        names = {host.name: _instance(host, options.instance) for host in selected}
        plans = {
            (name, STAGE): plan.build(name, removal.resources(fleet.host(name), instance))
            for name, instance in names.items()
        }
        reach = SshReach(fleet, options.config, hosts=names)
        told.start(str(fleet.inventory.path), list(names))
        reach.tell(told.warn)
        run = Run("undeploy", options.mode, reach, [told])
        run.converge([Wave("undeploy", dict.fromkeys(names, STAGE))], plans)
        code = told.end()
    if code == 0 and not options.check:
        for instance in dict.fromkeys(names.values()):
            tell(f"\n  {removal.kept(instance)}")
    return code


def _instance(host: SiteHost, named: str) -> str:
    """The instance to remove. Raises UsageError where it must be named, SettingsError where it cannot be one's name."""
    if named:
        instances.check_name(named)
        return named
    if len(host.instances) > 1:
        known = ", ".join(view.instance for view in host.instances)
        raise UsageError(f"{host.name} has several instances: {known}", "say which: --instance NAME")
    return host.instance
