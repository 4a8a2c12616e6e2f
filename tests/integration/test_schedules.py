"""Schedules make flow runs: proven by a deploy; and where they do not, verify and the doctor find it, and say why."""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live import LiveLab

from encamp.locking import lockfile
from tests.integration.looks import Fab, api, counts, succeeded

HOST, LAPTOP, UNIT = "vm2", "laptop1", "prefect-server.service"
#: The last release whose scheduler fails with SQLAlchemy 2.1 that has a lock.
RELEASE, BROKEN, GOOD = "3.8.8", "sqlalchemy==2.1.4", "sqlalchemy==2.0.54"
ENVIRONMENT = "/opt/prefect/default"
UV = "/opt/encamp/uv/*/uv"
AGE = """\
import sqlite3
with sqlite3.connect("/var/lib/prefect/default/prefect.db", 30) as connection:
    connection.executescript("{update}")
"""
ERROR = "Can't evaluate bulk DML statement"


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {"prefect_version": RELEASE, "database": "sqlite", "work_pool": "etl", "server": HOST}
    return lab.site(tmp_path_factory.mktemp("schedules"), host_vars={HOST: settings})


@pytest.fixture(scope="module")
def first(lab: LiveLab, site: Path) -> Iterator[Fab]:
    """What the first deploy of a server with a worker did."""
    lab.up(HOST, LAPTOP)
    yield lab.fab("-H", HOST, "deploy", inventory=site)
    lab.recreate(HOST)


@pytest.fixture
def deployed(lab: LiveLab, first: Fab) -> LiveLab:
    succeeded(first)
    return lab


@pytest.fixture
def broken(deployed: LiveLab) -> Iterator[LiveLab]:
    """The server with the SQLAlchemy that the date alone gave it."""
    _install(deployed, BROKEN)
    yield deployed
    _install(deployed, GOOD)


def _install(lab: LiveLab, package: str) -> None:
    """Put another release of a package into the environment, as a lock that pins it would, and restart the server."""
    host = lab.host(HOST)
    known = f"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_CACHE_DIR=/tmp/uv UV_DEFAULT_INDEX={_index()}"
    host.check_output(f"env {known} sh -c '{UV} pip install -q --python {ENVIRONMENT}/bin/python {package}'")
    host.check_output(f"systemctl restart {UNIT}")
    host.check_output("timeout 120 sh -c 'until curl -sf http://127.0.0.1:4200/api/health; do sleep 0.3; done'")


def _index() -> str:
    from encamp.locking.package_index import controller_index

    return controller_index().plain_url


def _call(lab: LiveLab, path: str, body: Any) -> Any:
    return api(lab, LAPTOP, f"http://{lab.address(HOST)}:4200/api/{path}", body)


def test_a_deploy_proves_a_scheduled_run_and_leaves_nothing(deployed: LiveLab, first: Fab) -> None:
    assert "(worker default etl)" in first.stdout
    for kind in ("flows", "deployments", "flow_runs"):
        assert _call(deployed, f"{kind}/filter", {}) == []


def test_a_second_deploy_proves_nothing(deployed: LiveLab, site: Path) -> None:
    done = deployed.fab("-H", HOST, "deploy", inventory=site)
    assert counts(done, HOST)["changed"] == 0 and "log line read back" not in done.stdout


def test_a_lock_of_the_site_that_breaks_a_bound_is_refused(lab: LiveLab, site: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(site, tmp_path / "site")
    bad = lockfile.make(RELEASE, folder / "locks")
    assert BROKEN in bad.read_text("utf-8")
    done = lab.fab("-H", HOST, "deploy", "--check", inventory=folder)
    assert done.returncode == 4 and "pins sqlalchemy 2.1.4, with which schedules create no flow runs" in done.stderr
    assert f"fab lock --prefect {RELEASE}" in done.stderr


def test_verify_and_the_doctor_find_a_scheduler_that_fails(broken: LiveLab, site: Path) -> None:
    verified = broken.fab("-H", HOST, "verify", inventory=site)
    assert verified.returncode == 2, verified.stdout
    assert "the server created no flow run from a schedule within 30 s" in verified.stdout
    assert "SQLAlchemy 2.1" in verified.stdout and ERROR in verified.stdout
    assert _call(broken, "deployments/filter", {}) == []
    told = broken.fab("-H", HOST, "doctor", inventory=site)
    assert told.returncode == 2, told.stdout
    line, _of_worker = [line for line in told.stdout.splitlines() if line.strip().startswith("errors")]
    assert "FAIL" in line and "times, last" in line and ERROR in line
    assert "Prefect before 3.9.1 with SQLAlchemy 2.1 or later" in told.stdout


def test_the_doctor_finds_active_schedules_without_runs(broken: LiveLab, site: Path) -> None:
    flow = _call(broken, "flows/", {"name": "nightly"})["id"]
    schedule = {"schedule": {"interval": 86400.0}, "active": True}
    deployment = {"name": "nightly", "flow_id": flow, "schedules": [schedule]}
    made, deadline = _call(broken, "deployments/", deployment), time.monotonic() + 120
    while "id" not in made and time.monotonic() < deadline:  # SQLite may be locked
        made = _call(broken, "deployments/", deployment)
    written = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
    aged = f"SET updated = '{written:%Y-%m-%d %H:%M:%S.%f}' WHERE"
    update = f"UPDATE deployment {aged} id = '{made['id']}'; "
    update += f"UPDATE deployment_schedule {aged} deployment_id = '{made['id']}'"
    broken.host(HOST).check_output(f"cat > /tmp/age.py << 'END'\n{AGE.format(update=update)}END\npython3 /tmp/age.py")
    told = broken.fab("-H", HOST, "doctor", inventory=site)
    assert told.returncode == 2, told.stdout
    assert "1 of 1 deployments with an active schedule have no scheduled flow run: nightly" in told.stdout
