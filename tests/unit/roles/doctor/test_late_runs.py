"""Why runs are late: the doctor asks the server, whose answers here have the shape of Prefect 3.9.1's."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

import pytest

from roles.doctor.kinds.api_checks import check_schedules
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.findings import FAIL, OK
from tests.unit.roles.client.laptop import Laptop

POOL = {"is_paused": False, "concurrency_limit": None}
ONLINE = [{"name": "w", "status": "ONLINE"}]
HOURS_AGO, HOUR_AGO = (
    datetime.datetime.fromtimestamp(time.time() - hours * 3600, datetime.timezone.utc).isoformat() for hours in (5, 1)
)
GONE = {"name": "w", "status": "OFFLINE", "last_heartbeat_time": HOUR_AGO}
LATE = [{"work_pool_name": "etl", "work_queue_name": "default"}]


class Answers(BaseHTTPRequestHandler):
    """Answers by path; 404 for the rest. ``flow_runs/count`` depends on what is counted."""

    told: Mapping[str, Any] = MappingProxyType({})

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key = self.path.removeprefix("/api/")
        if key == "flow_runs/count":
            key = next(word for word in ("Late", "Scheduled", "RUNNING") if word in body.decode())
        found = self.told.get(key)
        self.send_response(404 if found is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the tests' output."""


@pytest.fixture
def target() -> Iterator[ApiTarget]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield ApiTarget(Laptop("/"), f"http://127.0.0.1:{server.server_port}/api", server_version="3.9.1")
        server.shutdown()


@pytest.mark.parametrize(
    ("differs", "cause", "fix"),
    [
        ({"work_pools/etl": {**POOL, "is_paused": True}}, "work pool etl is paused", "work-pool resume etl"),
        (
            {"work_pools/etl/queues/default": {"is_paused": True}},
            "work queue default of etl is paused",
            "resume default",
        ),
        (
            {"work_pools/etl": {**POOL, "concurrency_limit": 2}, "RUNNING": 2},
            "etl is full: its concurrency limit is 2",
            "",
        ),
        (
            {"work_pools/etl/workers/filter": [GONE, {**GONE, "name": "v", "last_heartbeat_time": HOURS_AGO}]},
            "no worker of work pool etl is online: w (and 1 more) was last heard from, ",
            "start it",
        ),
        ({"work_pools/etl/workers/filter": []}, "no worker of work pool etl is online: it has none", "start one"),
        ({}, "not paused, not full, and has workers online", "the worker's log"),
        ({"flow_runs/filter": [{"work_pool_name": None}]}, "the process that serves their flow", "start it"),
        ({"flow_runs/filter": [{"work_queue_name": "q"}]}, "an agent that polls the work queue q", "check the agent"),
    ],
)
def test_late_runs_are_explained_by_what_the_server_says(
    target: ApiTarget, monkeypatch: pytest.MonkeyPatch, differs: dict[str, Any], cause: str, fix: str
) -> None:
    told = {
        "Late": 3,
        "Scheduled": 0,
        "RUNNING": 1,
        "flow_runs/filter": LATE,
        "work_pools/etl": {**POOL, "concurrency_limit": 2},
        "work_pools/etl/queues/default": {"is_paused": False},
        "work_pools/etl/workers/filter": ONLINE,
    }
    monkeypatch.setattr(Answers, "told", {**told, **differs})
    found = check_schedules(target)
    assert found and found.status == "warn" and found.text == "3 flow runs are late"
    assert cause in found.cause and fix in found.fix


def test_nothing_is_said_of_why_where_the_server_does_not_say(
    target: ApiTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answers, "told", {"Late": 1, "Scheduled": 0})
    found = check_schedules(target)
    assert found and (found.status, found.cause) == ("warn", "")


def deployment(name: str, active: bool) -> dict[str, Any]:
    """A paused deployment with two schedules, of which the last is active or not."""
    return {"name": name, "paused": True, "schedules": [{"active": False}, {"active": active}]}


@pytest.mark.parametrize(
    ("paused", "note"),
    [
        ([deployment("a", True)], "; paused deployments with active schedules, which create no flow runs: 1 (a)"),
        ([deployment(name, True) for name in "abcd"], ": 4 (a, b, c, ...)"),
        ([deployment("a", False), deployment("b", True)], ": 1 (b)"),
        ([deployment("a", False), {"name": "b", "paused": True, "schedules": []}], "no late runs"),
        ([], "no late runs"),
        (None, "no late runs"),
    ],
)
def test_paused_deployments_with_active_schedules_are_a_note(
    target: ApiTarget, monkeypatch: pytest.MonkeyPatch, paused: Any, note: str
) -> None:
    monkeypatch.setattr(Answers, "told", {"Late": 0, "Scheduled": 0, "deployments/filter": paused})
    found = check_schedules(target)
    assert found and found.status == "ok"
    assert found.text.startswith("no late runs") and found.text.endswith(note)


def test_late_runs_and_paused_deployments_are_both_named(target: ApiTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"Late": 2, "Scheduled": 0, "deployments/filter": [deployment("a", True)]}
    monkeypatch.setattr(Answers, "told", told)
    found = check_schedules(target)
    assert found and found.status == "warn"
    assert found.text.startswith("2 flow runs are late; paused deployments") and "(a)" in found.text


OLD, JUST_NOW = "2026-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"
DAILY = {"active": True, "schedule": {"interval": 86400.0}}


def scheduled(name: str, updated: str = OLD, **fields: Any) -> dict[str, Any]:
    """A deployment with an active schedule."""
    return {"id": name, "name": name, "updated": updated, "paused": False, "schedules": [DAILY], **fields}


def ahead(seconds: float | None) -> list[dict[str, str]] | None:
    """The answer that asks for the last scheduled run: one in so many seconds, none (0), or (None) no answer."""
    if seconds is None:
        return None
    then = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + seconds))
    return [{"expected_start_time": then}] if seconds else []


def every(**schedule: Any) -> dict[str, Any]:
    """An active schedule."""
    return {"active": True, "schedule": schedule}


BARREN = "1 of 1 deployments with an active schedule have no scheduled flow run: a"
OLD_STYLE = {"id": "o", "name": "o", "updated": OLD, "schedule": {"interval": 5}}


@pytest.mark.parametrize(
    ("deployments", "last", "text"),
    [
        ([scheduled("a")], 0, BARREN),
        ([scheduled("a")], -3600, BARREN),
        ([scheduled(name) for name in "abcdef"], 0, "6 of 6 deployments with an active schedule"),
        ([{**OLD_STYLE, "is_schedule_active": True}], 0, ": o"),
        ([scheduled("a")], 2 * 86400, ""),
        ([scheduled("a")], None, ""),
        ([scheduled("a", updated=JUST_NOW)], 0, ""),
        ([scheduled("a", schedules=[{**DAILY, "updated": JUST_NOW}])], 0, ""),
        ([scheduled("a", paused=True)], 0, ""),
        ([scheduled("a", schedules=[{**DAILY, "active": False}])], 0, ""),
        ([{**OLD_STYLE, "is_schedule_active": False}], 0, ""),
        ([{**OLD_STYLE, "schedule": None, "is_schedule_active": True}], 0, ""),
        ([scheduled("a", schedules=[every(cron="0 0 24 12 *")])], 0, ""),
        ([scheduled("a", schedules=[every(cron="0 0 1 * *")])], 0, BARREN),
        ([scheduled("a", schedules=[every(interval=365 * 86400.0)])], 0, ""),
    ],
)
def test_active_schedules_without_a_run_ahead_are_a_failure(
    target: ApiTarget, monkeypatch: pytest.MonkeyPatch, deployments: Any, last: float | None, text: str
) -> None:
    told = {"Late": 0, "Scheduled": 0, "flow_runs/filter": ahead(last), "deployments/filter": deployments}
    monkeypatch.setattr(Answers, "told", told)
    found = check_schedules(target)
    assert found and found.status == (FAIL if text else OK)
    assert text in found.text


@pytest.mark.parametrize(
    ("schedule", "last", "ends"),
    [
        (every(interval=86400.0), 40000, True),
        (every(interval=86400.0), 86340, False),
        (every(interval=15.0), 600, True),
        (every(interval=15.0), 1450, False),
        (every(interval=2.0), 130, False),
        (every(cron="*/5 * * * *"), 1800, True),
        (every(cron="*/5 * * * *"), 3550, False),
        (every(cron="0 6 * * 1"), 60, False),
        (every(rrule="FREQ=DAILY;COUNT=2"), 60, False),
        ({**every(interval=86400.0), "max_scheduled_runs": 1}, 60, False),
    ],
)
def test_runs_that_are_not_continued_show_a_round_that_fails(
    target: ApiTarget, monkeypatch: pytest.MonkeyPatch, schedule: Any, last: float, ends: bool
) -> None:
    """What the quick loop has made is there, and the round over all deployments adds nothing."""
    deployments = [scheduled("a", schedules=[schedule])]
    told = {"Late": 0, "Scheduled": 0, "flow_runs/filter": ahead(last), "deployments/filter": deployments}
    monkeypatch.setattr(Answers, "told", told)
    found = check_schedules(target)
    assert found and found.status == (FAIL if ends else OK)
    assert ("1 of 1 deployments end and are not continued: a (in" in found.text) is ends
