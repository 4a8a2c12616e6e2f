"""What is kept of a server before it is stopped, so that it comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.docker import api as docker
from roles.adopt.kinds.found import FoundServer, Runner
from roles.adopt.kinds.keeper import Keeper
from roles.adopt.kinds.plan import planned
from roles.adopt.kinds.processes import Process
from tests.unit.resources.case_host import CaseHost

SYSTEM = "/etc/systemd/system"
OURS = "prefect-server.service"


def found(kind: str, keeper: str, **more: Any) -> FoundServer:
    process = Process(
        7, "server", "root", ("/v/bin/python", "x"), "/srv", {"A": "b"}, Keeper(kind, keeper, "root", "k")
    )
    fields: dict[str, Any] = {"name": keeper, "path": "", "running": True, "bind": "", "port": 4300, **more}
    return FoundServer(process=process, **fields)


@pytest.mark.parametrize(
    ("states", "enabled", "running"),
    [
        ({}, True, True),
        ({"UnitFileState": "disabled", "ActiveState": "inactive", "SubState": "dead"}, False, False),
        ({"ActiveState": "failed", "SubState": "failed"}, True, False),
        # It is about to be restarted: for its owner it runs.
        ({"ActiveState": "activating", "SubState": "auto-restart"}, True, True),
    ],
)
def test_a_units_links_and_states_are_kept(states: dict[str, str], enabled: bool, running: bool) -> None:
    links = {
        f"{SYSTEM}/flows.service": "/srv/flows/flows.service",  # systemctl link
        f"{SYSTEM}/prefect.service": f"{SYSTEM}/flows.service",  # Alias=
        f"{SYSTEM}/multi-user.target.wants/flows.service": "/srv/flows/flows.service",
        f"{SYSTEM}/etl.target.requires/flows.service": "../flows.service",
        f"{SYSTEM}/multi-user.target.wants/ssh.service": "/lib/systemd/system/ssh.service",
    }
    host = CaseHost({"links": links, "units": {"flows.service": states}})
    adoption = planned(host, found("unit", "flows.service"), OURS, "default")
    kept = dict(list(links.items())[:4])
    assert adoption.links == kept
    assert (adoption.enabled, adoption.running, adoption.port) == (enabled, running, 4300)
    assert adoption.guard == f"{SYSTEM}/flows.service.d/zz-encamp-adopted.conf"


def test_restart_policies_of_its_containers_are_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    policies = {"p-server": {"Name": "on-failure", "MaximumRetryCount": 5}, "p-worker": {"Name": "always"}, "other": {}}

    def inspect(host: Any, what: str, name: str) -> dict[str, Any]:
        project = "elsewhere" if name == "other" else "p"
        labels = {"com.docker.compose.project": project}
        return {"HostConfig": {"RestartPolicy": policies[name]}, "Config": {"Labels": labels}}

    monkeypatch.setattr(docker, "inspect", inspect)
    runners = [Runner("worker", name, "container", "etl", "") for name in ("p-worker", "other")]
    server = found("container", "id", name="container p-server", project="p", runners=runners)
    adoption = planned(CaseHost({}), server, OURS, "default")
    assert adoption.containers == {"p-server": "on-failure:5", "p-worker": "always"}


def test_a_line_at_boot_is_started_as_cron_would() -> None:
    table = r"""PATH=/home/flows/.local/bin:/usr/bin
@reboot prefect server start --host $(date +\%s) % input
"""
    host = CaseHost({"files": {"/var/spool/cron/crontabs/root": table}})
    adoption = planned(host, found("process", "cron"), OURS, "default")
    assert adoption.start == "prefect server start --host $(date +%s) "
    assert adoption.environment == {"PATH": "/home/flows/.local/bin:/usr/bin"}
    assert list(adoption.boot) == ["/var/spool/cron/crontabs/root:2"]
    assert adoption.enabled


def test_a_process_that_only_a_watchdog_starts_comes_back_with_its_own_environment() -> None:
    table = "*/5 * * * * pgrep -f prefect || prefect server start\n"
    host = CaseHost({"files": {"/var/spool/cron/crontabs/root": table}})
    adoption = planned(host, found("process", "cron"), OURS, "default")
    assert (adoption.start, adoption.argv, adoption.cwd) == ("", ("/v/bin/python", "x"), "/srv")
    assert adoption.environment == {"A": "b"}
    assert list(adoption.boot.values()) == [table.strip()]
