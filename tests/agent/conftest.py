"""The real agent, as a subprocess over pipes: no SSH, no root."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from encamp.agent.boot import STAGE0
from encamp.planning import plan
from encamp.planning.job import Job, RunIdentity
from encamp.planning.plan import Item
from encamp.shared.wire import BlobStore, to_wire
from encamp.transport import bundle
from encamp.transport.agent_exec import run_agent
from encamp.transport.launch import LaunchSpec
from encamp.transport.local import LocalLink
from encamp.transport.traffic import Traffic
from tests.pythons import VERSIONS, installed

Converge = Callable[..., list[dict[str, Any]]]


@functools.cache
def pythons() -> list[str]:
    """Every interpreter from 3.9 on that runs here."""
    pythons_here = map(installed, VERSIONS)
    return sorted({sys.executable, *filter(None, pythons_here)})


def oldest_python() -> str:
    """The interpreter of the lowest version among them."""
    code = "import sys; print(*sys.version_info[:2])"
    versions = {path: subprocess.check_output([path, "-c", code], text=True).split() for path in pythons()}
    return min(versions, key=lambda path: [int(number) for number in versions[path]])


def job(
    items: Sequence[Item], state: Path, store: BlobStore, check: bool = False, diff: bool = False
) -> dict[str, Any]:
    """A job for this machine that keeps its state below ``state``, and no compiled sources for later tests."""
    run = RunIdentity("test", "test", who="tester", machine="here")
    return {**Job(plan.build("here", items), run, check, diff).wire(store), "state": str(state), "keep": False}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that stands for /run/encamp: what an earlier run kept would hide what this one sends."""
    directory = tmp_path / "run"
    monkeypatch.setattr("encamp.transport.launch.STAGE0", STAGE0.replace("/run/encamp", str(directory)))
    return directory


@pytest.fixture
def converge(tmp_path: Path, kept: Path) -> Converge:
    """Run items through the agent; returns its events."""

    def run(
        *items: Item,
        check: bool = False,
        diff: bool = False,
        python: str = sys.executable,
        traffic: Traffic | None = None,
        saved: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        store = BlobStore()
        ships = {package for step in plan.build("here", items).steps for package in step.resource.ships}
        work = job(items, tmp_path / "state", store, check, diff)
        payload = bundle.pack({**work, "plan": to_wire(saved)} if saved else work, ships)
        remote = LaunchSpec("here", python, become=False)
        return list(run_agent(LocalLink(), remote, payload, store, traffic or Traffic()))

    return run


@pytest.fixture
def payload(tmp_path: Path) -> Callable[..., bytes]:
    """What is sent to stage 0 for some items."""

    def make(*items: Item) -> bytes:
        return bundle.pack(job(items, tmp_path / "state", BlobStore())).beyond(())

    return make


def start_agent() -> subprocess.Popen[bytes]:
    """Stage 0 alone, with its pipes in the test's hands."""
    argv = [sys.executable, "-I", "-c", STAGE0]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(path: Path) -> None:
    """Until the agent under test has made ``path``."""
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never appeared")


def events(output: bytes) -> list[dict[str, Any]]:
    """The events in what an agent printed after READY."""
    return [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]


def statuses(found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Each step's status, by its id."""
    return {event["step"]: event["status"] for event in found if event["event"] == "step"}
