"""How hand-made servers are found: command lines, control groups and crontabs as public reports show them."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.docker import api as docker
from roles.adopt.kinds import boot_lines
from roles.adopt.kinds.dormant import dormant_servers
from roles.adopt.kinds.found import found_servers
from roles.adopt.kinds.keeper import keeper_of
from roles.adopt.kinds.processes import AGENT, SERVER, SERVICES, WORKER, job_of, option
from tests.unit.resources.case_host import CaseHost

ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("line", "job"),
    [
        ("/home/flows/venv/bin/python /home/flows/venv/bin/prefect server start --host 0.0.0.0", SERVER),
        (
            "/home/x/.pyenv/versions/3.11.4/bin/python3.11 /home/x/.pyenv/versions/3.11.4/bin/prefect server start",
            SERVER,
        ),
        ("/opt/conda/envs/etl/bin/python3.9 /opt/conda/envs/etl/bin/prefect orion start", SERVER),
        ("/usr/bin/python3 -m prefect server start", SERVER),
        ("/venv/bin/python -Im prefect --profile prod server start", SERVER),
        ("python3 -m uvicorn --factory prefect.server.api.server:create_app --host 0.0.0.0 --port 4200", SERVER),
        ("/venv/bin/python -m uvicorn --app-dir /x --factory prefect.orion.api.server:create_app", SERVER),
        ("/venv/bin/python /venv/bin/prefect --profile prod server start", SERVER),
        ("/venv/bin/python /venv/bin/prefect -p prod worker start --pool etl", WORKER),
        ("/venv/bin/python /venv/bin/prefect server services start", SERVICES),
        ("/venv/bin/python /venv/bin/prefect agent start -q default", AGENT),
        ("/venv/bin/python /venv/bin/prefect server database upgrade -y", ""),
        ("/venv/bin/python /venv/bin/prefect version", ""),
        # Wrappers have the same words, and stop nothing when they are stopped.
        ("sudo -u flows /home/flows/venv/bin/prefect server start", ""),
        ("bash -c source_venv && prefect server start", ""),
        ("tmux new-session -d -s prefect prefect server start", ""),
        ("uv run prefect server start", ""),
        ("python3 run_flows.py prefect server start", ""),
        ("", ""),
    ],
)
def test_a_job_is_told_by_the_command_line(line: str, job: str) -> None:
    assert job_of(line.split()) == job


def test_an_option_is_read_in_both_spellings() -> None:
    assert option(["prefect", "worker", "start", "--pool=etl"], "-p", "--pool") == "etl"
    assert option(["prefect", "worker", "start", "-p", "etl"], "-p", "--pool") == "etl"
    assert option(["prefect", "worker", "start"], "-p", "--pool") == ""


@pytest.mark.parametrize(
    ("group", "ancestors", "kind", "name"),
    [
        ("0::/system.slice/prefect-server.service", ["prefect"], "unit", "prefect-server.service"),
        ("0::/system.slice/system-prefect.slice/prefect@prod.service", ["prefect"], "unit", "prefect@prod.service"),
        ("0::/docker/ffff/system.slice/prefect.service", ["prefect"], "unit", "prefect.service"),
        ("12:cpu:/\n1:name=systemd:/system.slice/orion.service\n0::/", ["prefect"], "unit", "orion.service"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/prefect.service",
            ["prefect", "systemd"],
            "user unit",
            "prefect.service",
        ),
        (f"0::/system.slice/docker-{ID}.scope", ["prefect", "containerd-shim"], "container", ID),
        (f"12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}", ["prefect"], "container", ID),
        (f"0::/machine.slice/libpod-{ID}.scope/container", ["prefect"], "podman container", ID),
        ("0::/system.slice/cron.service", ["prefect", "sh", "tmux: server"], "process", "tmux"),
        ("0::/system.slice/crond.service", ["prefect", "sh", "crond"], "process", "cron"),
        ("0::/user.slice/user-1000.slice/session-4.scope", ["prefect", "SCREEN", "systemd"], "process", "SCREEN"),
        ("0::/user.slice/user-1000.slice/session-4.scope", ["prefect", "screen"], "process", "screen"),
        ("0::/system.slice/supervisor.service", ["prefect", "supervisord"], "process", "supervisord"),
        ("0::/user.slice/user-0.slice/session-1.scope", ["prefect"], "process", ""),
        ("", ["prefect"], "process", ""),
        # What starts it again is what counts, not the unit that it belongs to.
        ("0::/system.slice/pm2-flows.service", ["prefect", "PM2 v5.3.0: God"], "process", "PM2"),
        ("0::/user.slice/user-1000.slice/session-4.scope", ["prefect", "PM2 v5.3.0: God"], "process", "PM2"),
        ("0::/system.slice/runit.service", ["prefect", "runsv", "runsvdir"], "process", "runit"),
        ("0::/system.slice/init-services.service", ["prefect", "s6-supervise", "s6-svscan"], "process", "s6"),
        ("0::/system.slice/processes.service", ["prefect", "sh", "supervisord"], "process", "supervisord"),
        ("0::/system.slice/circus.service", ["prefect", "circusd"], "process", "circus"),
        ("0::/system.slice/rc-local.service", ["prefect", "rc.local"], "process", "rc.local"),
        # podman, by a unit of its own (quadlet), and rootless.
        (f"0::/system.slice/prefect.service/libpod-payload-{ID}", ["prefect", "conmon"], "podman container", ID),
        (
            f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container",
            ["prefect", "conmon"],
            "podman container",
            ID,
        ),
    ],
)
def test_what_keeps_a_process_running_is_told_by_its_group(
    group: str, ancestors: list[str], kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "answers", lambda host: True)
    monkeypatch.setattr(docker, "inspect", lambda host, what, name: {} if name == ID else None)
    host = CaseHost({"files": {**_family(ancestors), "/proc/100/cgroup": group}})
    found = keeper_of(host, 100, "flows")
    assert (found.kind, found.name) == (kind, name)


def test_nohup_and_containers_of_other_kinds_are_recognised() -> None:
    ignores = {"/proc/100/status": "Name:\tprefect\nSigIgn:\t0000000001001001\n"}
    assert keeper_of(CaseHost({"files": {**_family(["prefect"]), **ignores}}), 100, "flows").name == "nohup"

    links = {"/proc/1/ns/pid": "pid:[4026531836]", "/proc/100/ns/pid": "pid:[4026532999]"}
    group = {"/proc/100/cgroup": "0::/lxc.payload.ct1/system.slice/prefect.service"}
    host = CaseHost({"files": {**_family(["prefect"]), **group}, "links": links})
    assert keeper_of(host, 100, "flows").kind == "container of another kind"


def test_a_host_that_is_itself_a_container_keeps_its_processes() -> None:
    host = CaseHost({"files": {**_family(["prefect"]), "/proc/100/cgroup": f"0::/docker/{ID}"}})
    assert keeper_of(host, 100, "flows").kind == "process"


def _family(names: list[str]) -> dict[str, str]:
    """/proc/PID/stat of process 100 and its ancestors, 101 and so on, the last one a child of PID 1."""
    last = 99 + len(names)
    return {
        f"/proc/{pid}/stat": f"{pid} ({name}) S {1 if pid == last else pid + 1} 5 5 0"
        for pid, name in enumerate(names, 100)
    }


def test_a_line_at_reboot_is_found_by_the_script_that_it_names() -> None:
    crontab = "MAILTO=x\n0 3 * * * backup\n@reboot /home/flows/start.sh >> /tmp/log 2>&1\n"
    host = CaseHost(
        {
            "files": {
                "/var/spool/cron/crontabs/flows": crontab,
                "/home/flows/start.sh": "tmux new -d 'prefect server start'\n",
                "/etc/cron.d/other": "@reboot root /usr/bin/prefect server start\n",
            }
        }
    )
    (found,) = boot_lines.of_user(host, "flows")
    assert found.place == "/var/spool/cron/crontabs/flows:3"
    assert found.variables == {"MAILTO": "x"}
    (root,) = boot_lines.of_user(host, "root")
    assert (root.place, root.command) == ("/etc/cron.d/other:1", "/usr/bin/prefect server start")
    assert boot_lines.of_user(host, "nobody") == []


@pytest.mark.parametrize(
    ("table", "numbers"),
    [
        # A worker's line is not the server's, whichever comes first.
        ("@reboot prefect worker start -p etl\n@reboot prefect server start\n", [2]),
        ("@reboot prefect agent start -q x\n", []),
        ("0 3 * * * prefect deployment run etl/nightly\n", []),
        # A watchdog starts it again, and at boot.
        ("*/5 * * * * pgrep -f 'prefect server' || prefect server start\n@reboot prefect server start\n", [2, 1]),
        ("*/5 * * * * pgrep -f prefect || ~/venv/bin/prefect --profile p server start --host 0.0.0.0\n", [1]),
        ("@reboot sleep 30; uvicorn --factory prefect.server.api.server:create_app\n", [1]),
        ("@reboot /home/flows/prefect/start-all.sh\n", [1]),
        ("# @reboot prefect server start\n", []),
        ("@daily pg_dump prefect > /backup/server.sql\n", []),
    ],
)
def test_only_lines_that_start_a_server_are_its_lines(table: str, numbers: list[int]) -> None:
    host = CaseHost({"files": {"/var/spool/cron/crontabs/flows": table}})
    assert [line.number for line in boot_lines.of_user(host, "flows")] == numbers


def test_rc_local_starts_servers_at_boot_too() -> None:
    text = "#!/bin/sh\nsu - flows -c '/home/flows/v/bin/prefect server start &'\nprefect server start --port 4300 &\n"
    host = CaseHost({"files": {"/etc/rc.local": text}})
    assert [line.place for line in boot_lines.of_user(host, "flows")] == ["/etc/rc.local:2"]
    assert [line.place for line in boot_lines.of_user(host, "root")] == ["/etc/rc.local:3"]


UNIT = """[Unit]
Description=x
[Service]
User={user}
WorkingDirectory=/srv/p
Environment="PREFECT_HOME=/srv/p" PREFECT_SERVER_API_PORT=4300
EnvironmentFile=-/srv/p/env
ExecStart={start}
"""


def test_a_stopped_unit_is_found_with_its_settings() -> None:
    files = {
        "/etc/systemd/system/orchestra.service": UNIT.format(user="root", start="/srv/v/bin/prefect server \\\n start"),
        "/srv/v/bin/prefect": "#!/srv/v/bin/python3.11\n# -*- coding: utf-8 -*-\n",
        "/srv/p/env": 'PREFECT_API_DATABASE_CONNECTION_URL="postgresql+asyncpg://a:b@c/d"\n',
        "/etc/systemd/system/worker.service": UNIT.format(user="root", start="/srv/v/bin/prefect worker start -p x"),
        "/etc/systemd/system/ours.service": "# Managed by encamp: x\n" + UNIT.format(user="root", start="x prefect"),
    }
    (found,) = dormant_servers(CaseHost({"files": files}), [])
    assert found.keeper.name == "orchestra.service"
    assert found.python == "/srv/v/bin/python3.11"
    assert found.cwd == "/srv/p"
    assert found.environment["PREFECT_SERVER_API_PORT"] == "4300"
    assert found.environment["PREFECT_API_DATABASE_CONNECTION_URL"] == "postgresql+asyncpg://a:b@c/d"


def test_servers_of_encamp_are_none_of_them() -> None:
    files: dict[str, Any] = {
        **_family(["prefect"]),
        "/proc/100/cmdline": "/opt/prefect/default/bin/python\0/opt/prefect/default/bin/prefect\0server\0start\0",
        "/proc/100/cgroup": "0::/system.slice/prefect-server.service",
        "/proc/100/status": "Name:\tprefect\nUid:\t0\t0\t0\t0\n",
        "/etc/systemd/system/prefect-server.service": "# Managed by encamp: changes made here are undone\n",
    }
    assert found_servers(CaseHost({"files": files}), inquire=False) == []


def test_a_running_server_is_one_with_all_its_processes() -> None:
    command = "/home/f/venv/bin/python\0/home/f/venv/bin/prefect\0server\0start\0--port\x004201\0--host=0.0.0.0\0"
    child = "/home/f/venv/bin/python\0-m\0uvicorn\0--factory\0prefect.server.api.server:create_app\0"
    files = {
        "/proc/100/stat": "100 (prefect) S 1 5",
        "/proc/101/stat": "101 (python) S 100 5",
        "/proc/100/cmdline": command,
        "/proc/101/cmdline": child,
    }
    for pid in (100, 101):
        files[f"/proc/{pid}/cgroup"] = "0::/system.slice/prefect.service"
        files[f"/proc/{pid}/status"] = "Uid:\t0\t0\t0\t0\n"
    answers = {"systemctl show *": "FragmentPath=/etc/systemd/system/prefect.service\n"}
    (found,) = found_servers(CaseHost({"files": files, "answers": answers}), inquire=False)
    assert (found.name, found.bind, found.port) == ("prefect.service", "0.0.0.0", 4201)
