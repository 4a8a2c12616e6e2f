"""The facts of fab status that need no host: growth, durations, the last deploy, pools."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.server.subject import ServerSubject
from roles.status.kinds import growth, pools
from roles.status.kinds.host import HostSubject, check_deploy, last_deploy
from roles.status.kinds.server import spoken
from tests.unit.roles.client.laptop import Laptop

MEBIBYTE = 1024 * 1024
DAY = 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (90, "1 min"), (3600 * 5 + 60, "5 h 1 min"), (DAY * 3 + 3600 * 4, "3 d 4 h")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


@pytest.mark.parametrize(
    ("size", "days", "room", "status", "text"),
    [
        (1000, 10, 10_000, "ok", "100.0 MiB a day over 10 days; / has room for 100 more"),
        (1000, 10, 1_000, "warn", "/ has room for 10 more"),
        (1000, 2, 1_000, "", ""),
        (50, 10, 20, "", ""),
    ],
)
def test_the_growth_so_far_says_how_long_the_disk_lasts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int, days: int, room: int, status: str, text: str
) -> None:
    monkeypatch.setattr(growth, "room_of", lambda path: (room, "/", 50))
    subject = SimpleNamespace(
        database={"size": size * MEBIBYTE, "first": time.time() - days * DAY - 60},
        database_url=f"sqlite+aiosqlite:///{tmp_path}/prefect.db",
        kind=SimpleNamespace(cluster=""),
    )
    found = growth.check(cast(ServerSubject, subject))
    assert (found.status if found else "") == status and text in (found.text if found else "")


def trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *entries: Mapping[str, Any]) -> Laptop:
    monkeypatch.setattr("roles.status.kinds.host.AuditTrail.path", str(tmp_path / "audit.jsonl"))
    text = "".join(json.dumps(entry) + "\n" for entry in entries) + '{"event": "beg'
    (tmp_path / "audit.jsonl").write_text(text, "utf-8")
    return Laptop(str(tmp_path))


def test_the_last_deploy_is_told_from_other_commands_and_from_one_that_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {"event": "begin", "id": "1", "command": "deploy", "time": 1.0, "who": "ada"}
    other = {"event": "begin", "id": "2", "command": "doctor", "time": 2.0}
    ended = {"event": "end", "id": "1", "outcome": "failed", "failed": "Service:x"}
    found = last_deploy(trail(tmp_path, monkeypatch, first, other, ended))
    assert found and (found["who"], found["outcome"], found["failed"]) == ("ada", "failed", "Service:x")
    cut_off = last_deploy(trail(tmp_path, monkeypatch, first, ended, {**first, "id": "3"}))
    assert cut_off and cut_off["id"] == "3" and "outcome" not in cut_off
    assert last_deploy(trail(tmp_path, monkeypatch, other)) is None


def test_a_deploy_that_goes_on_was_not_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = trail(tmp_path, monkeypatch, {"event": "begin", "id": "1", "command": "deploy", "time": 1.0})
    lock = tmp_path / "encamp.lock"
    monkeypatch.setattr("roles.status.kinds.host.LOCK", str(lock))
    for holder, said in (
        ({"id": "1", "pid": os.getpid()}, "under way"),
        ({"id": "2", "pid": os.getpid()}, "was interrupted"),  # another run, later
        ({"id": "1", "pid": 2**22 + 1}, "was interrupted"),  # killed: its file stays
    ):
        host.forget()
        lock.write_text(json.dumps(holder), "utf-8")
        found = check_deploy(HostSubject(host, ""))
        assert found and said in found.text
    host.forget()
    lock.unlink()
    found = check_deploy(HostSubject(host, ""))
    assert found and "was interrupted" in found.text


POOL = {"name": "etl", "type": "process", "is_paused": False, "concurrency_limit": None}


class Told(ApiTarget):
    """A server that answers with what a test says."""

    def __init__(self, pool: Mapping[str, Any], workers: Any) -> None:
        super().__init__(Laptop("/"), "http://127.0.0.1:9/api")
        self.pool, self.workers = pool, workers

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        if path == "work_pools/filter":
            return [self.pool]
        return 2 if path == "flow_runs/count" else self.workers


@pytest.mark.parametrize(
    ("pool", "workers", "paused", "status", "text"),
    [
        ({}, [{"status": "ONLINE"}], (), "ok", "etl (process): 1 worker online, 2 at work"),
        ({"concurrency_limit": 4}, [], (), "ok", "0 workers online, 2 of 4 slots taken"),
        ({"is_paused": True}, [], (), "warn", "work pool etl is paused"),
        ({"is_paused": True}, [], ("etl",), "ok", "etl (process): paused, as declared"),
        ({}, [{"name": "w", "status": "OFFLINE"}], (), "warn", "no worker of work pool etl is online: w was last"),
        ({"type": "prefect-agent"}, [{"name": "w", "status": "OFFLINE"}], (), "ok", "etl (prefect-agent): 2 at work"),
        ({"type": "ecs:push"}, [], (), "ok", "etl (ecs:push): 2 at work"),
        ({}, None, (), "ok", "etl (process): 2 at work"),
    ],
)
def test_a_pool_is_wrong_when_it_is_paused_by_hand_or_has_lost_its_workers(
    pool: Mapping[str, Any], workers: Any, paused: tuple[str, ...], status: str, text: str
) -> None:
    subject = SimpleNamespace(target=Told({**POOL, **pool}, workers))
    found = pools.check(paused)(cast(ServerSubject, subject))
    assert found and found.status == status and text in found.text


def test_of_many_pools_the_ones_that_were_not_looked_at_are_not_called_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "ASKED", 1)
    found = pools.check(())(cast(ServerSubject, SimpleNamespace(target=Told(POOL, []))))
    assert found and found.text.endswith("2 at work; only 1 were looked at")
