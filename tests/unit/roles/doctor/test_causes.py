"""Causes that the doctor looks up on the host instead of guessing."""

from __future__ import annotations

from typing import Any

import pytest

from roles.doctor.kinds.server.checks import why_not_writable
from roles.doctor.kinds.worker import CHECK_API, WorkerDoctor, WorkerSubject
from tests.unit.resources.case_host import CaseHost

FILE = "/var/lib/prefect/default/prefect.db"
DIRECTORY = "/var/lib/prefect/default"
UNIT = "prefect-worker-etl.service"
ENV = "/etc/prefect/default/worker.env"


@pytest.mark.parametrize(
    ("file", "directory", "cause", "fix"),
    [
        ("root", "prefect", f"{FILE} belongs to root", f"chown prefect: {FILE} {DIRECTORY}"),
        ("prefect", "root", f"{DIRECTORY} belongs to root", f"chown prefect: {FILE} {DIRECTORY}"),
        ("prefect", "prefect", "it and its directory belong to prefect", "findmnt -T"),
        ("", "prefect", "another owner, its mode, or its file system", "namei -l"),
    ],
)
def test_why_a_database_file_cannot_be_written(file: str, directory: str, cause: str, fix: str) -> None:
    there: dict[str, Any] = {"directories": {DIRECTORY: {"owner": directory}}}
    if file:
        there["files"] = {FILE: {"text": "", "owner": file}}
    found = why_not_writable(CaseHost(there), "prefect", FILE)
    assert cause in found[0] and fix in found[1]


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({}, f"{ENV} is missing"),
        ({ENV: "PREFECT_HOME=/x\n"}, f"PREFECT_API_URL in {ENV} is missing, or is not a URL with a host"),
        ({ENV: "PREFECT_API_URL=vm1:4200\n"}, f"PREFECT_API_URL in {ENV} is missing, or is not a URL with a host"),
    ],
)
def test_why_a_worker_has_no_api(files: dict[str, str], cause: str) -> None:
    unit = f"[Service]\nEnvironmentFile={ENV}\nExecStart=/x worker start --pool etl\n"
    host = CaseHost({"files": {f"/etc/systemd/system/{UNIT}": unit, **files}})
    found = CHECK_API.run(WorkerSubject(host, WorkerDoctor("default", env_file=ENV), UNIT))
    assert found and (found.status, found.cause) == ("FAIL", cause)
