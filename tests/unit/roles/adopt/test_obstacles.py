"""What keeps a server running is named with the command that stops it; what cannot be continued is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from encamp.resources.base import Refused
from encamp.shared.secret import Secret
from roles.adopt.kinds import takeover
from roles.adopt.kinds.found import FoundServer
from roles.adopt.kinds.inquiry import Answer
from roles.adopt.kinds.keeper import Keeper
from roles.adopt.kinds.obstacles import obstacle_of, stop_command
from roles.adopt.kinds.processes import Process
from roles.adopt.kinds.takeover import AdoptionReady
from tests.unit.resources.case_host import CaseHost

ID = "0123456789abcdef" * 4


def found(kind: str, keeper: str, environment: Mapping[str, str] | None = None, **more: Any) -> FoundServer:
    argv = ("/v/bin/python", "/v/bin/prefect", "server", "start")
    process = Process(100, "server", "flows", argv, "/", environment or {}, Keeper(kind, keeper, "flows", ID))
    names = {"unit": keeper, "user unit": f"flows/{keeper}", "container": "container prefect"}
    fields: dict[str, Any] = {"path": "", "running": True, "bind": "0.0.0.0", "port": 4200, **more}
    return FoundServer(names.get(kind, "process flows:4200"), process, **fields)


def answer(url: str = "sqlite+aiosqlite:////home/flows/.prefect/prefect.db", sqlite: str = "/home/flows/x") -> Answer:
    return Answer("3.9.1", "3.11", "/h", Secret(url), None, "", "", "", "", sqlite=sqlite)


def supervised(*family: tuple[str, str]) -> CaseHost:
    """A host whose process 100 has ancestors: the name and the command line of each."""
    host: dict[str, Any] = {"files": {}, "links": {}}
    for pid, (name, line) in enumerate([("prefect", "prefect"), *family], 100):
        parent = pid + 1 if pid < 100 + len(family) else 1
        host["files"][f"/proc/{pid}/stat"] = f"{pid} ({name}) S {parent} 5 5 0"
        host["files"][f"/proc/{pid}/cmdline"] = line.replace(" ", "\0") + "\0"
        host["links"][f"/proc/{pid}/cwd"] = "/run/service/prefect"
    return CaseHost(host)


@pytest.mark.parametrize(
    ("host", "server", "command", "refusal"),
    [
        (CaseHost({}), found("unit", "p.service"), "systemctl stop p.service", ""),
        (CaseHost({}), found("user unit", "p.service"), "as flows: systemctl --user stop p.service", ""),
        (CaseHost({}), found("container", ID), "docker stop prefect", ""),
        (CaseHost({}), found("process", ""), "kill 100", ""),
        (CaseHost({}), found("process", "nohup"), "kill 100", ""),
        (CaseHost({}), found("process", "tmux"), "kill 100", ""),
        (CaseHost({}), found("process", "cron"), "kill 100", ""),
        (
            CaseHost({}),
            found("process", "screen", {"STY": "811.prefect"}),
            "as flows: screen -S 811.prefect -X quit",
            "",
        ),
        (
            CaseHost({}),
            found("podman container", ID),
            f"podman stop {ID[:12]}   (as the user who started it)",
            "runs in podman",
        ),
        (
            CaseHost({}),
            found("container of another kind", "/lxc.payload.c1"),
            "kill 100",
            "neither Docker's nor podman's",
        ),
        (
            CaseHost({}),
            found("process", "supervisord", {"SUPERVISOR_GROUP_NAME": "etl", "SUPERVISOR_PROCESS_NAME": "prefect"}),
            "supervisorctl stop etl:prefect",
            "kept running by supervisord",
        ),
        (
            CaseHost({}),
            found("process", "PM2", {"name": "prefect-server", "pm_id": "0"}),
            "as flows: pm2 stop prefect-server",
            "kept running by PM2",
        ),
        (
            supervised(("runsv", "runsv prefect"), ("runsvdir", "runsvdir /etc/service")),
            found("process", "runit"),
            "sv down prefect",
            "kept running by runit",
        ),
        (
            supervised(("s6-supervise", "s6-supervise prefect"), ("s6-svscan", "s6-svscan /run/service")),
            found("process", "s6"),
            "s6-svc -d /run/service/prefect",
            "kept running by s6",
        ),
        (
            supervised(("sh", "sh run"), ("supervise", "supervise prefect")),
            found("process", "daemontools"),
            "svc -d /run/service/prefect",
            "kept running by daemontools",
        ),
        (
            CaseHost({}),
            found("container", ID, container={"HostConfig": {"AutoRemove": True}}),
            "docker stop prefect",
            "started with --rm: stopping it deletes it",
        ),
        (
            CaseHost({}),
            found("container", ID, container={"HostConfig": {"Tmpfs": {"/home/flows": ""}}}, answer=answer()),
            "docker stop prefect",
            "in a tmpfs of its container",
        ),
        (
            CaseHost({}),
            found("unit", "p.service", answer=answer("sqlite+aiosqlite:///:memory:", sqlite="")),
            "systemctl stop p.service",
            "in memory only",
        ),
        (CaseHost({}), found("unit", "p.service", running=False), "", ""),
    ],
)
def test_each_keeper_is_named_with_its_command(host: CaseHost, server: FoundServer, command: str, refusal: str) -> None:
    assert stop_command(host, server) == command
    obstacle = obstacle_of(host, server)
    assert (obstacle is not None) == bool(refusal)
    assert obstacle is None or (refusal in obstacle.reason and obstacle.fix)


def test_what_would_be_started_again_is_refused_before_anything_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = found("process", "PM2", {"name": "prefect"}, answer=answer())
    monkeypatch.setattr(takeover, "found_server", lambda host, name: server)
    ready = AdoptionReady("process flows:4200", "default", "3.9.1", "file", 4200, "prefect-server.service")
    with pytest.raises(Refused, match="kept running by PM2") as raised:
        ready.check(CaseHost({}))
    assert "`pm2 delete prefect && pm2 save`" in raised.value.fix
