"""``fab history``: recent runs from this machine; with -H, what changed on those hosts, and who changed it."""

from __future__ import annotations

import datetime
import re
from itertools import islice

from encamp.cli.options import Options
from encamp.commands.load_site import load_site
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from encamp.errors import UsageError
from encamp.output.history import Record, past_runs
from encamp.output.terminal import report
from encamp.planning.rollout import Mode
from encamp.resources.probes.audit_trail import AuditTrail


def history(options: Options, last: str = "20") -> int:
    """Show recent runs. Returns the exit code; raises EncampError."""
    if not re.fullmatch(r"0*[1-9]\d{0,5}", last):
        raise UsageError(f"--last {last}: must be a number from 1 to 999999", "for example --last 20")
    if options.hosts:
        return _of_hosts(options, int(last))
    for record in reversed(list(islice(past_runs(options.records), int(last)))):
        report(sentence(record))
    return 0


def _of_hosts(options: Options, last: int) -> int:
    with reporting(options, "history", check=True, record=False, brief=True) as reports:
        site, selected = load_site(options, ())
        hosts = [host.name for host in selected]
        prepared = single_stage("history", {host: [AuditTrail(last=last)] for host in hosts})
        connector = connect(options, site, hosts, reports)
        run_hosts("history", Mode(check=True), connector, prepared, reports)
        return reports.end()


def sentence(record: Record) -> str:
    """A run in a line."""
    when = datetime.datetime.fromtimestamp(record.began).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    well = len(record.hosts) - len(record.not_well)
    words = [f"{when}  {record.command}{' --check' if record.check else ''}  {record.inventory}"]
    words += [f"ok={well} changed={sum(record.changed.values())}"]
    words += [f"not ok: {', '.join(record.not_well)}"] if record.not_well else []
    words += ["killed"] if record.seconds is None else [f"{record.seconds:.1f} s"]
    return "  ".join(words)
