"""Retention: what is older than declared is really removed by the server, and nothing else is."""

from __future__ import annotations

import json
import time

import pytest
from copies import start_copies
from deployed import POSTGRES
from live import LiveLab

from tests.integration.looks import api, psql, succeeded

HOST = "vm1"
VACUUM = "PREFECT_SERVER_SERVICES_DB_VACUUM"


@pytest.fixture(scope="module")
def server(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> LiveLab:
    """A server that keeps flow runs for 30 days and events for 7; its rounds are short."""
    start_copies(lab, {HOST: POSTGRES})
    rounds = {f"{VACUUM}_LOOP_SECONDS": "5", f"{VACUUM}_ORPHAN_CLEANUP_LOOP_SECONDS": "5"}
    declared = {"retention_runs": 30, "retention_events": 7, "server_environment": rounds}
    site = lab.site(tmp_path_factory.mktemp("retention") / "site", host_vars={HOST: declared})
    succeeded(lab.fab("-H", HOST, "deploy", "--no-verify", inventory=site))
    return lab


def test_old_flow_runs_go_with_their_logs_and_old_events_go_and_younger_ones_stay(server: LiveLab) -> None:
    url = f"http://{server.address(HOST)}:4200/api"
    flow = api(server, HOST, f"{url}/flows/", {"name": "kept"})["id"]
    runs = []
    for name in ("old", "young"):
        made = {"name": name, "flow_id": flow, "state": {"type": "SCHEDULED"}}
        run = api(server, HOST, f"{url}/flow_runs/", made)["id"]
        api(server, HOST, f"{url}/flow_runs/{run}/set_state", {"state": {"type": "COMPLETED"}, "force": True})
        log = {"name": "test", "level": 20, "message": f"of {name}", "timestamp": "2026-01-01T00:00:00Z"}
        body = json.dumps([{**log, "flow_run_id": run}])
        server.ssh(HOST, f"curl -sf -X POST -H Content-Type:application/json {url}/logs/ -d '{body}'")
        runs.append(run)
    deadline = time.monotonic() + 120
    while int(psql(server, HOST, "SELECT count(*) FROM events")) < 2:
        assert time.monotonic() < deadline, "no events"
        time.sleep(1)
    psql(server, HOST, f"UPDATE flow_run SET end_time = now() - interval '31 days' WHERE id = '{runs[0]}'")
    old_events = "SELECT count(*) FROM events WHERE occurred < now() - interval '7 days'"
    psql(
        server,
        HOST,
        "UPDATE events SET occurred = now() - interval '8 days' WHERE id = (SELECT min(id::text)::uuid FROM events)",
    )
    names = "SELECT string_agg(name, ',' ORDER BY name) FROM flow_run"
    logs = "SELECT string_agg(message, ',' ORDER BY message) FROM log"
    deadline = time.monotonic() + 180
    while (
        "old" in psql(server, HOST, names) or "old" in psql(server, HOST, logs) or psql(server, HOST, old_events) != "0"
    ):
        assert time.monotonic() < deadline, (psql(server, HOST, names), psql(server, HOST, logs))
        time.sleep(2)
    assert psql(server, HOST, names) == "young" and psql(server, HOST, logs) == "of young"
    assert int(psql(server, HOST, "SELECT count(*) FROM events")) > 0


def test_a_release_without_a_vacuum_is_refused_before_a_host_is_touched(server: LiveLab) -> None:
    done = server.fab("-H", HOST, "deploy", "--set", "prefect_version=2.20.26", "--set", "retention_runs=30")
    assert done.returncode == 4
    assert "Prefect 2.20.26 cannot do that" in done.stderr and "3.6.19 or later" in done.stderr
