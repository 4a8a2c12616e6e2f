"""Ways to look at a host and at what fab printed. Nothing here uses encamp's own agent."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from live import LiveLab

#: What changes on any running host by itself: journals, sshd's and sudo's own records, clocks.
RESTLESS = (
    *("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/var/lib/systemd", "/var/cache"),
    *("/var/lib/postgresql", "/var/lib/pgsql", "/var/lib/prefect"),
)
Fab = subprocess.CompletedProcess[str]


def succeeded(done: Fab) -> str:
    """What a run printed; fails the test with all of it when the run did not exit 0."""
    assert done.returncode == 0, f"fab exited {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def counts(done: Fab, host: str) -> dict[str, int]:
    """The numbers in a host's recap line."""
    recap = done.stdout.partition("\nrecap\n")[2]
    line = next((line for line in recap.splitlines() if line.split()[:1] == [host]), "")
    assert line, f"no recap for {host}\n{done.stdout}\n{done.stderr}"
    return {name: int(value) for name, value in re.findall(r"([\w-]+)=(\d+)", line)}


def changed(done: Fab, word: str = "changed") -> set[str]:
    """The ids of the steps that a run reports as changed (or, with ``would``, as to be changed)."""
    return {line.split()[2] for line in done.stdout.splitlines() if line.split()[1:2] == [word]}


def look(done: Fab, name: str) -> str:
    """What one look of a doctor's told: its line, and the lines below it."""
    found = re.search(rf"(?m)^  {re.escape(name)} +(ok|warn|FAIL|-) .*(?:\n      .*)*", done.stdout)
    assert found, f"no look at {name}\n{done.stdout}\n{done.stderr}"
    return found[0]


def snapshot(lab: LiveLab, name: str) -> dict[str, str]:
    """Every path on a host with type, mode, owner, size and time of change; users, units and rules, too."""
    prune = " -o ".join(f"-path {path}" for path in RESTLESS)
    command = rf"find / -xdev \( {prune} \) -prune -o -printf '%p\t%y %m %u %g %s %T@ %C@ %l\n'"
    host = lab.host(name)
    found = dict(line.split("\t") for line in host.check_output(command).splitlines())
    found["rules"] = host.run("nft list ruleset").stdout
    found["units"] = host.check_output("systemctl list-unit-files --no-pager --no-legend")
    found["state"] = host.run("ls /run/encamp.lock /var/lib/encamp").stdout
    return found


def curl(lab: LiveLab, source: str, url: str, *options: str) -> str:
    """What a URL answers to a host of the lab; empty when it does not."""
    # testinfra fills the command in with %, which an option such as -w '%{http_code}' must come through.
    more = " ".join(options).replace("%", "%%")
    return str(lab.host(source).run(f"curl -sS --max-time 20 %s {more}", url).stdout)


def api(lab: LiveLab, source: str, url: str, body: Any = None) -> Any:
    """A JSON answer of the API as a host of the lab sees it; a body makes it a POST."""
    data = ["-H", "Content-Type:application/json", "-d", f"'{json.dumps(body)}'"] if body is not None else []
    return json.loads(curl(lab, source, url, *data))


def psql(lab: LiveLab, name: str, query: str, database: str = "prefect") -> str:
    """A query as the superuser, over the socket."""
    return str(lab.host(name).check_output("runuser -u postgres -- psql -XAtq -d %s -c %s", database, query))


def traces(lab: LiveLab, name: str) -> str:
    """How many flows, deployments, runs and log lines a server's database holds."""
    tables = ("flow", "deployment", "flow_run", "task_run", "log")
    return psql(lab, name, "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in tables))
