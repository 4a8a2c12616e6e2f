"""fab stop, start and restart: the order, what status and a deploy make of it, and flow runs that are let finish."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from copies import start_copies
from deployed import POSTGRES
from live import LiveLab

from tests.integration.looks import Fab, api, changed, succeeded

HOST = "vm1"
SERVER, WORKER = "prefect-server.service", "prefect-worker-default.service"
SOCKET = "prefect-server.socket"
#: Runs until it is let go.
FLOW = """
import pathlib, time
from prefect import flow
@flow
def wait():
    while not pathlib.Path("/var/lib/prefect/default-worker/go").exists():
        time.sleep(0.2)
"""


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("power") / "site"
    return lab.site(folder, host_vars={HOST: {"workers": [{"pool": "default", "readable_paths": ["/srv/flows"]}]}})


@pytest.fixture(scope="module")
def running(lab: LiveLab, site: Path) -> LiveLab:
    start_copies(lab, {HOST: POSTGRES})
    lab.ssh(HOST, "sudo mkdir -p /srv/flows && sudo tee /srv/flows/wait.py", text=FLOW)
    succeeded(lab.fab("-H", HOST, "deploy", "--no-verify", inventory=site))
    return lab


@pytest.fixture
def fab(running: LiveLab, site: Path) -> Callable[..., Fab]:
    return lambda *words: running.fab("-H", HOST, *words, inventory=site)


def states(lab: LiveLab, *units: str) -> list[str]:
    return [lab.host(HOST).run(f"systemctl is-active {unit}").stdout.strip() for unit in units]


def url(lab: LiveLab, path: str) -> str:
    return f"http://{lab.address(HOST)}:4200/api/{path}"


def until(done: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_what_is_stopped_on_purpose_is_not_failed_and_a_deploy_says_that_it_starts_it(
    running: LiveLab, fab: Callable[..., Fab]
) -> None:
    done = fab("stop")
    shown = succeeded(done)
    assert shown.index(f"WorkerStopped:{WORKER}") < shown.index(f"UnitStopped:{SERVER}")
    assert states(running, SERVER, WORKER, "postgresql@15-main") == ["inactive", "inactive", "active"]
    assert changed(fab("stop")) == set(), "a second stop has nothing to do"
    seen = fab("status", "--exit-code")
    assert seen.returncode == 0 and "0 red" in seen.stdout, seen.stdout
    assert re.search(rf"{SERVER} was stopped by \S+ from \S+ at \d\d:\d\d UTC on 20", seen.stdout)
    fab("doctor", "--fix")
    assert states(running, SERVER, WORKER) == ["inactive", "inactive"], "what is on purpose is not mended"
    check = succeeded(fab("deploy", "--check"))
    assert re.search(rf"Service:{SERVER}  running: inactive, stopped by \S+ from \S+ at .* -> active", check)
    succeeded(fab("deploy", "--no-verify"))
    assert states(running, SERVER, WORKER) == ["active", "active"]
    assert running.host(HOST).run("ls /run/encamp/stopped").stdout.strip() == ""
    assert changed(fab("start")) == set(), "what runs is left alone"


def test_a_start_waits_for_a_healthy_server_before_its_workers(
    running: LiveLab, fab: Callable[..., Fab], tmp_path: Path
) -> None:
    succeeded(fab("stop"))
    events = tmp_path / "events.jsonl"
    done = fab("start", "--json", str(events))
    succeeded(done)
    assert changed(done) == {f"UnitStarted:{SERVER}", f"UnitStarted:{WORKER}"}
    told = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    steps = [str(event["step"]) for event in told if event["event"] == "step"]
    healthy = next(place for place, step in enumerate(steps) if step.startswith("ServerHealth:"))
    assert steps.index(f"UnitStarted:{SERVER}") < healthy < steps.index(f"UnitStarted:{WORKER}")
    assert "0 red, 0 warn" not in fab("status").stdout and "was stopped" not in fab("status").stdout


def test_a_socket_unit_beside_the_service_is_stopped_and_started_with_it(
    running: LiveLab, fab: Callable[..., Fab]
) -> None:
    """One like it: any connection to a socket that listens would start the server again."""
    machine = running.host(HOST)
    own = machine.run(f"systemctl cat {SOCKET}").rc == 0
    if not own:
        text = f"[Socket]\\nListenStream=127.0.0.1:4299\\nService={SERVER}\\n"
        machine.check_output(f"printf '{text}' > /etc/systemd/system/{SOCKET} && systemctl daemon-reload")
        machine.check_output(f"systemctl stop {SERVER}; systemctl start {SOCKET} {SERVER}")
    try:
        succeeded(fab("stop", "--only", "server"))
        assert states(running, SOCKET, SERVER, WORKER) == ["inactive", "inactive", "active"]
        succeeded(fab("start", "--only", "server"))
        assert states(running, SOCKET, SERVER) == ["active", "active"]
    finally:
        if not own:
            machine.run(f"systemctl stop {SOCKET}; rm /etc/systemd/system/{SOCKET}; systemctl daemon-reload")


def test_a_restart_lets_flow_runs_finish(running: LiveLab, fab: Callable[..., Fab]) -> None:
    machine = running.host(HOST)
    flow = api(running, HOST, url(running, "flows/"), {"name": "wait"})["id"]
    steps = [{"prefect.deployments.steps.set_working_directory": {"directory": "/srv/flows"}}]
    made = {
        "name": "wait",
        "flow_id": flow,
        "work_pool_name": "default",
        "entrypoint": "wait.py:wait",
        "pull_steps": steps,
    }
    deployment = api(running, HOST, url(running, "deployments/"), made)["id"]
    start = {"state": {"type": "SCHEDULED"}}
    run = api(running, HOST, url(running, f"deployments/{deployment}/create_flow_run"), start)["id"]
    state = lambda: api(running, HOST, url(running, f"flow_runs/{run}"))["state_type"]  # noqa: E731
    until(lambda: state() == "RUNNING")
    pids = [machine.check_output(f"systemctl show -P MainPID {unit}") for unit in (SERVER, WORKER)]
    machine.check_output(
        "systemd-run --on-active=25 install -o prefect-worker -m 600 /dev/null /var/lib/prefect/default-worker/go"
    )
    done = fab("restart")
    shown = succeeded(done)
    assert changed(done) == {f"UnitRestarted:{SERVER}", f"WorkerRestarted:{WORKER}"}
    assert "waits for its flow runs to finish" in shown and run in shown
    assert state() == "COMPLETED"
    now = [machine.check_output(f"systemctl show -P MainPID {unit}") for unit in (SERVER, WORKER)]
    assert now[0] != pids[0] and now[1] != pids[1]


def test_a_unit_that_does_not_exist_is_an_error_of_the_operator(fab: Callable[..., Fab]) -> None:
    done = fab("restart", "--only", "nosuch")
    assert done.returncode == 1 and "they have: server, worker-default" in done.stderr


# -- a database that is killed ---------------------------------------------------------------------------------------


def test_a_postgres_that_was_killed_comes_back_and_its_server_answers_again(
    running: LiveLab, fab: Callable[..., Fab], site: Path
) -> None:
    machine = running.host(HOST)
    main = "systemctl show -P MainPID postgresql@15-main"
    killed = machine.check_output(main)
    machine.check_output(f"kill -9 {killed}")
    until(lambda: machine.run("curl -sf --max-time 5 http://127.0.0.1:4200/api/ready").rc != 0, 30)
    until(lambda: machine.run("curl -sf --max-time 5 http://127.0.0.1:4200/api/ready").rc == 0)
    until(lambda: machine.check_output(main) not in ("0", killed))
    assert api(running, HOST, url(running, "flows/count"), {}) >= 0


def test_the_drop_in_that_brings_it_back_is_written_without_a_restart_and_only_where_it_is_needed(
    running: LiveLab, fab: Callable[..., Fab]
) -> None:
    machine, unit = running.host(HOST), "postgresql@15-main.service"
    folder = f"/etc/systemd/system/{unit}.d"
    before = machine.check_output(f"systemctl show -P MainPID {unit}")
    machine.check_output(f"rm {folder}/encamp.conf && systemctl daemon-reload")
    done = fab("deploy", "--no-verify")
    succeeded(done)
    assert changed(done) == {"PostgresComeback:main"}
    assert machine.check_output(f"systemctl show -P MainPID {unit}") == before
    assert machine.check_output(f"systemctl show -P Restart {unit}") == "on-failure"
    machine.check_output(f"rm {folder}/encamp.conf; printf '[Service]\\nRestart=always\\n' > {folder}/mine.conf")
    machine.check_output("systemctl daemon-reload")
    assert changed(fab("deploy", "--no-verify")) == set(), "the owner's own way is left alone"
    machine.check_output(f"rm {folder}/mine.conf && systemctl daemon-reload")
    succeeded(fab("deploy", "--no-verify"))


# -- drained ---------------------------------------------------------------------------------------------------------


def test_a_drained_host_takes_no_flow_runs_across_deploys_starts_and_boots(
    running: LiveLab, fab: Callable[..., Fab], site: Path
) -> None:
    machine = running.host(HOST)
    done = running.fab("drain", HOST, inventory=site)
    succeeded(done)
    assert changed(done) == {f"WorkerDrained:{WORKER}"} and states(running, WORKER, SERVER) == ["inactive", "active"]
    assert changed(running.fab("drain", HOST, inventory=site)) == set()
    seen = fab("status", "--exit-code")
    assert seen.returncode == 0 and f"{WORKER} was drained by " in seen.stdout and "fab undrain" in seen.stdout
    deployed = fab("deploy", "--no-verify")
    assert changed(deployed) == set() and "it stays stopped until `fab undrain`" in succeeded(deployed)
    assert changed(fab("start")) == set() and states(running, WORKER) == ["inactive"]
    running.reboot(HOST)
    until(lambda: machine.run("curl -sf --max-time 5 http://127.0.0.1:4200/api/ready").rc == 0)
    assert states(running, WORKER) == ["inactive"]
    back = running.fab("undrain", HOST, inventory=site)
    succeeded(back)
    assert changed(back) == {f"WorkerUndrained:{WORKER}"} and states(running, WORKER) == ["active"]
    assert machine.check_output(f"systemctl is-enabled {WORKER}") == "enabled"
    assert "was drained" not in fab("status").stdout and changed(fab("deploy", "--no-verify")) == set()


def test_a_drain_names_its_hosts_after_it(fab: Callable[..., Fab]) -> None:
    done = fab("drain", HOST)
    assert done.returncode == 1 and f"`fab drain {HOST}`" in done.stderr
