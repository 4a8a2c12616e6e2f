"""``fab logs``: the logs of all hosts and units as one, in the order of time; ``-f`` goes on until Ctrl-C."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from encamp.cli.options import Options
from encamp.commands.load_site import load_site
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from encamp.errors import UsageError
from encamp.output.broadcast import ReportBroadcaster
from encamp.output.outcome import Outcome
from encamp.output.site_log import SiteLog
from encamp.output.terminal import printable, report
from encamp.planning import plan
from encamp.planning.plan import HostPlan
from encamp.planning.rollout import Mode
from encamp.running.connectors import SshConnector
from encamp.running.follow import Follower, Position
from encamp.running.run import new_identity
from encamp.shared.record import replace
from roles.logs import sources
from roles.logs.kinds.logs import Logs
from roles.prefect.groups import DATABASES, SERVERS, WORKERS

#: Lines that are shown where neither a number nor a time is asked for, and before following.
LINES, BEFORE_FOLLOWING = 100, 10


def logs(options: Options, wanted: sources.Wanted, lines: str = "") -> int:
    """Show logs of the selected hosts; without any, of all databases, servers and workers. Returns the exit code.

    ``lines``: how many of the last ones. Raises EncampError.
    """
    wanted = _checked(wanted, lines)
    try:
        return _shown(options, wanted)
    except KeyboardInterrupt:
        if wanted.follow:  # its usual end
            return 130
        raise


def _shown(options: Options, wanted: sources.Wanted) -> int:
    shown = SiteLog(sys.stdout, wanted.lines, wanted.follow)
    with reporting(options, "logs", console=shown, check=True, record=False) as reports:
        site, selected = load_site(options, (DATABASES, SERVERS, WORKERS))
        logs = {host.name: sources.of_host(host, site, wanted) for host in selected}
        connector = connect(options, site, list(logs), reports)
        if wanted.follow:
            _follow(logs, connector, reports)
        else:
            prepared = single_stage("logs", {name: [found] for name, found in logs.items()})
            run_hosts("logs", Mode(check=True, forks=options.forks), connector, prepared, reports)
        return reports.end()


def _checked(wanted: sources.Wanted, lines: str) -> sources.Wanted:
    """The options, with what is shown where nothing is said of it. Raises UsageError."""
    if lines and not re.fullmatch(r"0*[1-9]\d{0,6}", lines):
        raise UsageError(f"--lines {lines}: must be a number from 1", "for example -n 100")
    try:
        re.compile(wanted.grep)
    except re.error as error:
        fix = "a regular expression of Python's, such as 'Flow run .*'"
        raise UsageError(f"--grep {wanted.grep}: {error}", fix) from None
    usual = 0 if wanted.since else BEFORE_FOLLOWING if wanted.follow else LINES
    return replace(wanted, lines=int(lines or usual), level=sources.level_of(wanted.level))


def _follow(logs: dict[str, Logs], connector: SshConnector, reports: ReportBroadcaster) -> list[Outcome]:
    """Listen to the hosts until Ctrl-C. Raises KeyboardInterrupt."""

    def plan_of(host: str, position: Position) -> HostPlan:
        return plan.build(host, [sources.resumed(logs[host], position)])

    def lost(host: str, why: str) -> None:
        report(printable(f"{host}: {why}; connecting again"), sys.stderr)

    follower = Follower(connector, new_identity("logs"), plan_of, reports, lost)
    hosts: Sequence[str] = list(logs)
    return follower.run(hosts)
