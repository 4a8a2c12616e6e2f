"""What commands over hosts have in common: prepared plans, the connections, the announcement, the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from encamp.cli.options import Options
from encamp.output.broadcast import ReportBroadcaster
from encamp.output.outcome import Outcome
from encamp.planning import plan
from encamp.planning.plan import HostPlan, Item
from encamp.planning.rollout import Mode, Wave
from encamp.running.connectors import Connector, SshConnector
from encamp.running.run import Run
from encamp.shared.record import record
from encamp.site import Site

#: A session: the host, and the stages that it goes through there.
Session = tuple[str, tuple[str, ...]]


@record
class Prepared:
    """All that a run will do, worked out and validated before any host is touched."""

    waves: list[Wave]
    plans: dict[Session, HostPlan]

    @property
    def sessions(self) -> list[tuple[Session, HostPlan]]:
        """Every session and its plan, in the order in which they begin."""
        return [
            ((name, stages), self.plans[name, stages]) for wave in self.waves for name, stages in wave.hosts.items()
        ]


def single_stage(stage: str, items: Mapping[str, Iterable[Item]]) -> Prepared:
    """A run of one stage, on all its hosts at once. Raises PlanError."""
    stages: tuple[str, ...] = (stage,)
    plans = {(host, stages): plan.build(host, of_host) for host, of_host in items.items()}
    return Prepared([Wave(stage, dict.fromkeys(items, stages))] if items else [], plans)


def connect(options: Options, site: Site, hosts: Sequence[str], reports: ReportBroadcaster) -> SshConnector:
    """Work out how to log in to each host, then announce the run. Raises InventoryError, SettingsError."""
    connector = SshConnector(site, options.config, hosts=hosts)
    announce(site, hosts, connector, reports)
    return connector


def announce(site: Site, hosts: Sequence[str], connector: Connector, reports: ReportBroadcaster) -> None:
    """Report what begins, and what of OpenSSH's configuration has no effect."""
    reports.start(str(site.inventory.path), hosts)
    connector.report_warnings(reports.warn)


def run_hosts(
    command: str, mode: Mode, connector: Connector, prepared: Prepared, reports: ReportBroadcaster
) -> list[Outcome]:
    """Carry out what was prepared. Raises KeyboardInterrupt."""
    return Run(command, mode, connector, [reports]).converge(prepared.waves, prepared.plans)
