"""The audit trail of a host, and the lock that one run waits for."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

from encamp.agent.journal import HostLock
from encamp.resources.command import Command
from encamp.resources.files.directory import Directory
from encamp.resources.probes.audit_trail import describe_runs
from encamp.shared.wire import BlobStore
from encamp.transport import bundle
from encamp.transport.agent_exec import run_agent
from encamp.transport.launch import LaunchSpec
from encamp.transport.local import LocalLink
from encamp.transport.traffic import Traffic
from tests.agent.conftest import Converge, job


def trail(folder: Path) -> list[dict[str, Any]]:
    path = folder / "state/audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_run_that_changes_something_is_on_record_before_and_after(converge: Converge, tmp_path: Path) -> None:
    converge(Directory(str(tmp_path / "made"), "", ""))
    begin, end = trail(tmp_path)
    assert {"event": "begin", "who": "tester", "from": "here", "command": "test"}.items() <= begin.items()
    assert (end["outcome"], end["changed"]) == ("ok", [f"Directory:{tmp_path}/made"])
    assert (tmp_path / "state/audit.jsonl").stat().st_mode & 0o007 == 0
    converge(Directory(str(tmp_path / "made"), "", ""))
    converge(Directory(str(tmp_path / "other"), "", ""), check=True)
    assert len(trail(tmp_path)) == 2, "nothing was changed, so nothing is told"


def test_a_run_that_fails_says_where(converge: Converge, tmp_path: Path) -> None:
    converge(Directory(str(tmp_path / "made"), "", ""), Command("odd", ("false",), creates="/nonexistent/x"))
    assert trail(tmp_path)[-1].items() >= {"outcome": "failed", "failed": "Command:odd"}.items()


def test_a_trail_that_cannot_be_written_stops_nothing(converge: Converge, tmp_path: Path) -> None:
    (tmp_path / "state/audit.jsonl").mkdir(parents=True)
    assert converge(Directory(str(tmp_path / "made"), "", ""))[-1]["outcome"] == "ok"


def test_a_trail_is_told_in_sentences() -> None:
    run = {"id": "1", "command": "deploy", "who": "ann", "from": "ctl", "version": "0.1", "time": 0}
    lines = [
        json.dumps({"event": "begin", **run}),
        json.dumps({"event": "end", "id": "1", "outcome": "failed", "failed": "File:x", "changed": ["User:y"]}),
        json.dumps({"event": "begin", **run, "id": "2"}),
        '{"event": "end", "id": "2", "outc',
    ]
    first, second = describe_runs("\n".join(lines).encode())
    assert first.endswith("deploy by ann from ctl (encamp 0.1): failed at File:x, changed 1: User:y")
    assert second.endswith("(encamp 0.1): interrupted")


def test_a_lock_can_be_waited_for(tmp_path: Path) -> None:
    """Another process holds the lock for a moment; a run that waits is told so, and then goes on."""
    (tmp_path / "state").mkdir()
    handle = os.open(tmp_path / "state/lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.write(handle, json.dumps({"command": "deploy", "who": "ann"}).encode())
    events: list[dict[str, Any]] = []
    store = BlobStore()
    wanted = {**job([Directory(str(tmp_path / "made"), "", "")], tmp_path / "state", store), "wait": 60}
    for event in run_agent(LocalLink(), LaunchSpec("here", become=False), bundle.pack(wanted), store, Traffic()):
        events.append(event)
        if event["event"] == "progress":
            assert event["text"] == "waiting for deploy by ann to finish"
            threading.Timer(0.2, os.close, (handle,)).start()
    assert events[-1]["outcome"] == "ok" and (tmp_path / "made").is_dir()
    assert not (tmp_path / "state/lock").exists(), "nothing is left of the lock"
    assert [event["event"] for event in events].count("progress") == 1


def test_a_lock_that_its_holder_removed_meanwhile_is_none(tmp_path: Path) -> None:
    """Who opened the file before it was removed must not believe to hold what the next one cannot see."""
    first, second, third = (HostLock(str(tmp_path / "lock")) for _ in range(3))
    assert first.take({"who": "first"}) is None
    assert (second.take({}) or {})["who"] == "first"
    first.release()
    assert second.take({"who": "second"}) is None
    assert (third.take({}) or {})["who"] == "second"
    second.release()
    assert not (tmp_path / "lock").exists()
