"""``fab undeploy``: take an instance off its hosts, and keep its data."""

from __future__ import annotations

from encamp.cli.options import Options
from encamp.commands.load_site import load_site
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from encamp.errors import UsageError
from encamp.inventory import instances
from encamp.output.terminal import report
from encamp.site import SiteHost
from roles import undeploy as removal


def undeploy(options: Options) -> int:
    """Remove one instance's units, firewall rule and settings from each host. Returns the exit code.

    The instance need not stand in the inventory any more. Raises EncampError.
    """
    if not options.hosts:
        raise UsageError("undeploy needs the names of its hosts", "for example: fab -H vm1 undeploy")
    with reporting(options, "undeploy") as reports:
        site, selected = load_site(options, ())
        names = {host.name: _instance(host, options.instance) for host in selected}
        items = {name: removal.resources(site.host(name), instance) for name, instance in names.items()}
        prepared = single_stage("undeploy", items)
        connector = connect(options, site, list(names), reports)
        run_hosts("undeploy", options.mode, connector, prepared, reports)
        code = reports.end()
    if code == 0 and not options.check:
        for instance in dict.fromkeys(names.values()):
            report(f"\n  {removal.kept(instance)}")
    return code


def _instance(host: SiteHost, named: str) -> str:
    """The instance to remove. Raises UsageError where it must be named, SettingsError where it cannot be one's name."""
    if named:
        instances.check_name(named)
        return named
    if len(host.instances) > 1:
        known = ", ".join(view.instance for view in host.instances)
        raise UsageError(f"{host.name} has several instances: {known}", "choose one: --instance NAME")
    return host.instance
