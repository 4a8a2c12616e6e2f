"""``fab history``: what was run from here; with -H, what was changed on those hosts, by whoever it was."""

from __future__ import annotations

import datetime
import re
from itertools import islice

from encamp.cli.options import Options, load_site, reporting
from encamp.errors import UsageError
from encamp.output import history as runs
from encamp.output.history import Record
from encamp.output.text import tell
from encamp.planning import plan
from encamp.planning.schedule import Wave
from encamp.resources.probes.audit_trail import AuditTrail
from encamp.running.connectors import SshReach
from encamp.running.run import Mode, Run

STAGE: tuple[str, ...] = ("history",)


def history(options: Options, last: str = "20") -> int:
    """Tell the latest runs. Returns the exit code; raises EncampError."""
    if not re.fullmatch(r"0*[1-9]\d{0,5}", last):
        raise UsageError(f"--last {last}: must be a number from 1 to 999999", "for example --last 20")
    if options.hosts:
        return _of_hosts(options, int(last))
    for record in reversed(list(islice(runs.past(options.records), int(last)))):
        tell(sentence(record))
    return 0


def _of_hosts(options: Options, last: int) -> int:
    with reporting(options, "history", check=True, record=False, brief=True) as told:
        fleet, selected = load_site(options, ())
        plans = {(host.name, STAGE): plan.build(host.name, [AuditTrail(last=last)]) for host in selected}
        reach = SshReach(fleet, options.config, hosts=[host.name for host in selected])
        told.start(str(fleet.inventory.path), [host.name for host in selected])
        reach.tell(told.warn)
        run = Run("history", Mode(check=True), reach, [told])
        run.converge([Wave("history", {host.name: STAGE for host in selected})], plans)
        return told.end()


def sentence(record: Record) -> str:
    """A run in a line."""
    when = datetime.datetime.fromtimestamp(record.began).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    well = len(record.hosts) - len(record.not_well)
    words = [f"{when}  {record.command}{' --check' if record.check else ''}  {record.inventory}"]
    words += [f"ok={well} changed={sum(record.changed.values())}"]
    words += [f"not ok: {', '.join(record.not_well)}"] if record.not_well else []
    words += ["killed"] if record.seconds is None else [f"{record.seconds:.1f} s"]
    return "  ".join(words)
