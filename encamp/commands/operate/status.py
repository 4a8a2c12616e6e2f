"""``fab status``: the state of the whole site on one screen, what is wrong first."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

from encamp.cli.options import Options
from encamp.commands import doctor
from encamp.commands.load_site import load_site
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import announce, run_hosts, single_stage
from encamp.errors import EncampError, UsageError
from encamp.output.broadcast import ReportBroadcaster
from encamp.output.diagnosis import FAIL, OK, WARN
from encamp.output.findings import Findings
from encamp.output.outcome import Outcome
from encamp.output.site_status import SiteStatus
from encamp.planning.plan import Item
from encamp.planning.rollout import Mode, seconds
from encamp.resources.base import Resource
from encamp.running.connectors import SshConnector
from encamp.shared.record import record, replace
from encamp.site import Site, SiteHost
from encamp.transport.events import FindingEvent
from roles.prefect.groups import BACKUPS, CLIENTS, DATABASES, SERVERS, WORKERS
from roles.status import examinations

GROUPS = (BACKUPS, DATABASES, SERVERS, WORKERS)
RED = 2
SHOWN = 8


@record
class Plan:
    """What is looked at: the site, its hosts, what examines each, and the part of a deploy that shows drift.

    ``clients``: hosts that are looked at as their login user.
    """

    site: Site
    hosts: Sequence[SiteHost]
    examined: Mapping[str, Sequence[Resource]]
    declared: Mapping[str, Sequence[Item]]
    clients: Mapping[str, Sequence[Resource]]
    not_planned: Mapping[str, EncampError]


def status(options: Options, watch: bool = False, every: str = "10", exit_code: bool = False) -> int:
    """Show the state of the selected hosts; without any, of all but clients. Returns the exit code:
    2 with ``exit_code`` where something is red. ``watch``: again ``every`` so many seconds, until Ctrl-C.

    Raises EncampError.
    """
    pause = seconds("--every", every)
    if not watch:
        return _once(options, exit_code)
    if pause < 1:
        raise UsageError("--every must be a number of seconds from 1", "for example --every 10")
    try:
        while True:
            _once(options, exit_code, again=True)
            time.sleep(pause)
            options = replace(options, append=True)
    except KeyboardInterrupt:
        return 130


def _once(options: Options, exit_code: bool, again: bool = False) -> int:
    shown = SiteStatus(sys.stdout, again)
    with reporting(options, "status", console=shown, check=True, record=False) as reports:
        plan = _plan(options)
        connector = SshConnector(plan.site, options.config, hosts=[host.name for host in plan.hosts])
        steps = Findings()
        reports.add(steps)
        announce(plan.site, [*plan.examined, *plan.clients], connector, reports)
        mode = Mode(check=True, forks=options.forks)
        items = {name: [*found, *plan.declared.get(name, ())] for name, found in plan.examined.items()}
        outcomes = run_hosts("status", mode, connector, single_stage("status", items), reports)
        for outcome in outcomes:
            _report_drift(outcome, plan, steps, reports)
        run_hosts("status", mode, connector.with_become(False), single_stage("status", plan.clients), reports)
        return reports.end(otherwise=RED if exit_code and shown.worst == FAIL else 0)


def _plan(options: Options) -> Plan:
    """What to look at. A host whose deploy cannot be planned is looked at all the same."""
    site, selected = load_site(options, GROUPS)
    started = time.time()
    examined, declared, clients, not_planned = {}, {}, {}, {}
    for host in selected:
        if host.in_group(CLIENTS) and not any(map(host.in_group, GROUPS)):
            clients[host.name] = [doctor.of_client(host, site, options)]
            continue
        examined[host.name] = list(examinations.of_host(host, site, started))
        try:
            declared[host.name] = list(examinations.drift(host, site))
        except EncampError as error:
            not_planned[host.name] = error
    return Plan(site, selected, examined, declared, clients, not_planned)


def _report_drift(outcome: Outcome, plan: Plan, steps: Findings, reports: ReportBroadcaster) -> None:
    """What a deploy would change on a host, as a finding about it."""
    found = steps.next_of(outcome.host)
    if outcome.host in plan.not_planned:
        error = plan.not_planned[outcome.host]
        return _report(reports, outcome.host, WARN, f"a deploy cannot be planned: {error.message}", error.fix)
    if outcome.status not in ("ok", "failed"):
        return
    own = {resource.id for resource in plan.examined[outcome.host]}
    compared = {step: event for step, event in found.items() if step not in own}
    differs = [step for step, event in compared.items() if event["status"] == "changed"]
    if differs:
        named = ", ".join(differs[:SHOWN]) + (f" and {len(differs) - SHOWN} more" if len(differs) > SHOWN else "")
        look = f"`fab -H {outcome.host} deploy --check --diff` shows what; without --check it is made so"
        return _report(reports, outcome.host, WARN, f"a deploy would change {named}", look)
    if outcome.status == "ok":
        _report(reports, outcome.host, OK, f"none: {len(compared)} things are as declared")


def _report(reports: ReportBroadcaster, host: str, status: str, text: str, fix: str = "") -> None:
    finding: FindingEvent = {"event": "finding", "patient": "host", "name": "drift", "status": status, "text": text}
    reports.event(host, {**finding, "fix": fix} if fix else finding)
