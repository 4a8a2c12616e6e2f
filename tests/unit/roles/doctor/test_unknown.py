"""What a check cannot tell is a line with the reason, and not left out."""

from __future__ import annotations

from typing import Any

import pytest

from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.findings import SKIPPED
from roles.doctor.kinds.server import outside
from roles.doctor.kinds.server.doctor import ServerDoctor
from roles.doctor.kinds.server.subject import ServerSubject
from roles.doctor.kinds.stuck_runs import check_stuck_runs
from roles.doctor.kinds.worker import CHECK_STEPS, WorkerDoctor, WorkerSubject
from tests.unit.resources.systemd.double import Answers
from tests.unit.roles.client.laptop import Laptop
from tests.unit.roles.prefect.test_api import Server
from tests.unit.roles.prefect.test_api import server as server

UNIT = "prefect-worker-etl.service"


def test_flow_runs_that_cannot_be_listed(server: Server) -> None:
    server.table["POST /api/flow_runs/filter"] = (422, {})
    found = check_stuck_runs(ApiTarget(Laptop("/"), f"{server.url}/api"))
    assert found and (found.status, found.text) == (SKIPPED, "flow runs cannot be listed")


def test_a_host_that_does_not_let_packets_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(port: int) -> Any:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(outside, "arrivals", refused)
    host: Any = Answers()
    host.is_root = True
    doctor = ServerDoctor(
        "default", "x.service", server="vm1", health={"public_api_url": "http://203.0.113.9:4200/api"}
    )
    found = outside.check_outside(ServerSubject(host, doctor))
    assert found and found.status == SKIPPED and "Operation not permitted" in found.text


def test_deployments_that_cannot_be_listed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.table["POST /api/deployments/filter"] = (422, {})
    subject = WorkerSubject(Laptop("/"), WorkerDoctor("default"), UNIT)
    vars(subject).update(target=ApiTarget(Laptop("/"), f"{server.url}/api"), words=["--pool", "etl"])
    found = CHECK_STEPS.run(subject)
    assert found and found.status == SKIPPED and "the deployments of pool etl cannot be listed: HTTP 422" in found.text
