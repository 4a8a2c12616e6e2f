"""A drained worker is left alone by every step that would start it or wait for it."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.base import Resource
from encamp.resources.systemd.power import UnitRestarted, UnitStarted
from encamp.resources.systemd.probe import SystemdProbe
from roles.proof.kinds.flow_run import VerificationRun
from roles.worker.kinds.online import WorkerOnline
from roles.worker.kinds.power import WorkerDrained, WorkerRestarted, WorkerUndrained
from roles.worker.kinds.service import WorkerService
from tests.unit.resources.case_host import CaseHost

UNIT = "prefect-worker-etl.service"
MARK = {f"/var/lib/encamp/drained/{UNIT}": {"text": "ada from controller\n", "mtime": 1_000_000_000}}
STOPPED = {"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "disabled"}
NO_SOCKET = {"prefect-worker-etl.socket": {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead"}}


def host(state: dict[str, str], files: dict[str, Any]) -> CaseHost:
    return CaseHost({"units": {UNIT: state, **NO_SOCKET}, "files": files, "root": True})


@pytest.mark.parametrize(
    "resource",
    [
        WorkerService(UNIT),
        UnitStarted(UNIT),
        UnitRestarted(UNIT),
        WorkerRestarted(UNIT),
        SystemdProbe(UNIT),
        VerificationRun("worker default etl", api_url="http://127.0.0.1:9/api", unit=UNIT),
    ],
    ids=lambda resource: type(resource).__name__,
)
def test_what_is_drained_is_not_started_and_not_waited_for(resource: Resource) -> None:
    drained = host(STOPPED, MARK)
    assert resource.check(drained) == []
    assert all("was drained by ada from controller at 01:46 UTC on 2001-09-09" in note for note in drained.notes)
    assert resource.check(host(STOPPED, {})) != []


def test_a_drained_worker_need_not_be_online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkerOnline, "_status", lambda self, host: "OFFLINE")
    online = WorkerOnline("etl/w", "etl", "w", "http://127.0.0.1:9/api", unit=UNIT)
    assert online.check(host(STOPPED, MARK)) == [] and online.check(host(STOPPED, {})) != []


def test_a_drain_marks_first_so_that_one_that_is_cut_off_is_finished_by_the_next() -> None:
    machine = host({}, {})
    changes = WorkerDrained(UNIT, "ada").check(machine)
    assert [change.what for change in changes] == ["running", "drained"]
    cut_off = host({}, MARK)
    assert [change.what for change in WorkerDrained(UNIT, "ada").check(cut_off)] == ["running"]
    assert WorkerDrained(UNIT, "ada").check(host(STOPPED, MARK)) == []


def test_an_undrain_starts_only_what_was_drained() -> None:
    machine = host(STOPPED, MARK)
    changes = WorkerUndrained(UNIT).check(machine)
    WorkerUndrained(UNIT).apply(machine, changes)
    done = [line for line, _ in machine.done]
    assert done == [
        f"systemctl enable -- {UNIT}",
        f"systemctl start -- {UNIT}",
        f"remove /var/lib/encamp/drained/{UNIT}",
    ], "the mark goes last: an undrain that is cut off is finished by the next"
    assert WorkerUndrained(UNIT).check(host(STOPPED, {})) == []
