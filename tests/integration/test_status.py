"""fab status: a site that is well on one screen; then each fault made for real, told first and with its fix."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from copies import start_copies
from deployed import CLIENT, POSTGRES
from layout import CHECKOUT
from live import LiveLab

from tests.integration.looks import Fab, api, psql, snapshot, succeeded

SERVER, LAPTOP = "vm1", "laptop1"
WORKER = "prefect-worker-default.service"
OLD_CLIENT = "2.7.12"


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vm1 with a server and a worker; laptop2 is declared with a release that this server does not serve."""
    folder = tmp_path_factory.mktemp("status") / "site"
    worker = {"workers": [{"pool": "default", "limit": 1}]}
    return lab.site(folder, host_vars={SERVER: worker, "laptop2": {"prefect_version": OLD_CLIENT}})


@pytest.fixture(scope="module")
def running(lab: LiveLab, site: Path) -> LiveLab:
    """That site, deployed."""
    start_copies(lab, {SERVER: POSTGRES, LAPTOP: CLIENT})
    succeeded(lab.fab("-H", SERVER, "deploy", inventory=site))
    return lab


@pytest.fixture
def status(running: LiveLab, site: Path) -> Callable[..., Fab]:
    """``fab status`` of that site."""
    return lambda *options: running.fab("status", *options, inventory=site)


def red(done: Fab) -> list[str]:
    """The lines in red."""
    return [line for line in done.stdout.splitlines() if line.startswith("FAIL")]


def warned(done: Fab) -> str:
    """All lines of warnings, with their causes and fixes."""
    return "\n".join(re.findall(r"(?m)^warn .*(?:\n      .*)*", done.stdout))


def url(lab: LiveLab, path: str = "") -> str:
    return f"http://{lab.address(SERVER)}:4200/api/{path}"


def until(done: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(1)


# -- well ------------------------------------------------------------------------------------------------------------


def test_a_site_that_is_well_is_one_screen_in_one_session_and_nothing_is_written(
    running: LiveLab, status: Callable[..., Fab], tmp_path: Path
) -> None:
    before, sessions = snapshot(running, SERVER), running.ssh_sessions(SERVER)
    done = status("--exit-code", "--json", str(tmp_path / "events"))
    shown = succeeded(done)
    assert running.ssh_sessions(SERVER) == sessions + 1
    assert snapshot(running, SERVER) == before
    assert "1 host: 0 red, 1 warning" in shown and len(shown.splitlines()) < 30
    assert f"laptop2 has Prefect {OLD_CLIENT}" in warned(done)
    assert re.search(r"server default  warn  Prefect 3\S+ at http://\S+, up .* \(since 20", shown)
    for fact in ("postgresql@15-main.service runs", "1 worker online", "of 97 connections", "no late runs", "% used"):
        assert fact in shown, fact
    assert re.search(r"last changed by a deploy on 20.*, by \S+ from ", shown)
    assert re.search(r"drift +none: \d+ things are as declared", shown)
    events = [json.loads(line) for line in (tmp_path / "events").read_text("utf-8").splitlines()]
    assert events[0]["command"] == "status" and events[0]["check"] and events[-1]["exit_code"] == 0
    found = {event["name"] for event in events if event["event"] == "finding" and "name" in event}
    assert {"unit", "connection", "head-room", "pools", "stuck runs", "disk", "drift", "worker"} <= found


def test_a_client_that_is_named_is_asked_itself(running: LiveLab, site: Path) -> None:
    done = running.fab("-H", LAPTOP, "status", "--exit-code", inventory=site)
    assert done.returncode == 2 and "uses no hosted API" in done.stdout, done.stdout + done.stderr


# -- faults ----------------------------------------------------------------------------------------------------------


def test_what_a_deploy_would_change_is_told(running: LiveLab, status: Callable[..., Fab]) -> None:
    machine, path = running.host(SERVER), "/etc/prefect/default/worker.env"
    machine.check_output(f"cp -a {path} /root/kept; echo '# by hand' >> {path}")
    try:
        found = warned(status())
        assert f"drift: a deploy would change File:{path}" in found
        assert f"fab -H {SERVER} deploy --check --diff" in found
    finally:
        machine.check_output(f"cp -a /root/kept {path}")


@pytest.fixture
def late(running: LiveLab) -> Iterator[str]:
    """A flow run that nobody takes: its worker is stopped."""
    flow = api(running, SERVER, url(running, "flows/"), {"name": "late"})["id"]
    made: Any = {"name": "late", "flow_id": flow, "work_pool_name": "default"}
    deployment = api(running, SERVER, url(running, "deployments/"), made)["id"]
    running.host(SERVER).check_output(f"systemctl stop {WORKER}")
    scheduled = {"state": {"type": "SCHEDULED"}}
    run = api(running, SERVER, url(running, f"deployments/{deployment}/create_flow_run"), scheduled)["id"]
    yield run
    running.host(SERVER).check_output(f"systemctl start {WORKER}")
    running.ssh(SERVER, f"curl -sf -X DELETE {url(running)}flow_runs/{run}")
    running.ssh(SERVER, f"curl -sf -X DELETE {url(running)}deployments/{deployment}")


def test_late_runs_have_their_reason_and_a_worker_that_is_stopped_is_red(
    running: LiveLab, status: Callable[..., Fab], late: str
) -> None:
    until(lambda: api(running, SERVER, url(running, f"flow_runs/{late}"))["state_name"] == "Late")
    psql(running, SERVER, "UPDATE worker SET last_heartbeat_time = now() - interval '1 hour'")
    workers = url(running, "work_pools/default/workers/filter")
    until(lambda: all(worker["status"] == "OFFLINE" for worker in api(running, SERVER, workers, {})))
    done = status("--exit-code")
    assert done.returncode == 2, "a worker that does not run is red"
    assert f"{WORKER} is inactive" in red(done)[0] and "systemctl start" in done.stdout
    told = warned(done)
    assert "schedules: 1 flow runs are late" in told
    assert re.search(r"no worker of work pool default is online: \S+ was last heard from, 60 min ago", told), told
    assert done.stdout.index("FAIL") < done.stdout.index("warn  ") < done.stdout.index("  services ")
    assert status().returncode == 0, "without --exit-code only what cannot be looked at counts"
    pause = ["-X", "PATCH", "-H", "Content-Type:application/json"]
    for paused in ("true", "false"):
        body = f"'{{\"is_paused\": {paused}}}'"
        running.ssh(SERVER, f"curl -sf {' '.join(pause)} -d {body} {url(running)}work_pools/default")
        found = warned(status())
        assert ("work pool default is paused" in found and "work-pool resume default" in found) is (paused == "true")


def test_a_run_whose_worker_is_gone_is_told(running: LiveLab, status: Callable[..., Fab]) -> None:
    call = lambda path, body: api(running, SERVER, url(running, path), body)  # noqa: E731
    call("work_pools/", {"name": "gone", "type": "process"})
    beat = '{"name": "w", "heartbeat_interval_seconds": 1}'
    post = f"curl -sf -X POST -H Content-Type:application/json {url(running)}work_pools/gone/workers/heartbeat"
    running.ssh(SERVER, f"{post} -d '{beat}'")
    flow = call("flows/", {"name": "stuck"})["id"]
    made = call("deployments/", {"name": "stuck", "flow_id": flow, "work_pool_name": "gone"})
    run = call(f"deployments/{made['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"]
    call(f"flow_runs/{run}/set_state", {"state": {"type": "PENDING"}, "force": True})
    back = "SET timestamp = timestamp - interval '1 hour'"
    psql(running, SERVER, f"UPDATE flow_run_state {back} WHERE flow_run_id = '{run}'")
    psql(running, SERVER, "UPDATE worker SET last_heartbeat_time = now() - interval '1 hour' WHERE name = 'w'")
    until(lambda: [one["status"] for one in call("work_pools/gone/workers/filter", {})] == ["OFFLINE"])
    try:
        told = warned(status())
        assert "stuck runs: 1 flow runs will not end" in told and run in told
        assert re.search(r"pools: .*no worker of work pool gone is online: w was last heard from, 6\d min ago", told)
    finally:
        running.ssh(SERVER, f"curl -sf -X DELETE {url(running)}deployments/{made['id']}")
        running.ssh(SERVER, f"curl -sf -X DELETE {url(running)}work_pools/gone")


def test_a_database_that_is_down_is_red_with_what_starts_it(running: LiveLab, status: Callable[..., Fab]) -> None:
    machine = running.host(SERVER)
    machine.check_output("systemctl stop postgresql@15-main")
    try:
        done = status("--exit-code")
        assert done.returncode == 2
        assert any("connection: Postgres 15/main is down" in line for line in red(done)), done.stdout
        assert "systemctl restart postgresql@15-main" in done.stdout
    finally:
        machine.check_output("systemctl start postgresql@15-main")
        until(lambda: machine.run("curl -sf http://127.0.0.1:4200/api/ready").rc == 0)


def test_a_host_that_cannot_be_reached_does_not_hide_the_others(running: LiveLab, site: Path) -> None:
    done = running.fab("-H", f"{SERVER},vm2", "status", "--set", "connect_tries=1", inventory=site)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "vm2  UNREACHABLE" in done.stdout and "server default" in done.stdout


def test_watch_goes_on_until_ctrl_c(running: LiveLab, site: Path, tmp_path: Path) -> None:
    fab = [str(Path(sys.executable).with_name("fab")), "status", "--watch", "--every", "1"]
    with (tmp_path / "shown").open("w") as shown:
        watching = subprocess.Popen(
            [*fab, "--inventory", str(site)],
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
            cwd=CHECKOUT,
            stdout=shown,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            until(lambda: (tmp_path / "shown").read_text().count("server default") >= 2)
        finally:
            watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130
    assert "Traceback" not in (watching.stderr.read() if watching.stderr else "")
