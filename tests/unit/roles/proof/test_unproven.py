"""What a server cannot show is said with its reason: services that are off, releases that are too old."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from roles.prefect.kinds.api import Api
from roles.proof.kinds import automation
from roles.proof.kinds.services import SCHEDULER, switched_on
from tests.unit.roles.client.laptop import Laptop
from tests.unit.roles.prefect.test_api import Server
from tests.unit.roles.prefect.test_api import server as server


@pytest.fixture
def host(tmp_path: object) -> Iterator[Laptop]:
    yield Laptop(str(tmp_path))


def off(name: str) -> dict[str, Any]:
    return {"server": {"services": {name: {"enabled": False}}}}


@pytest.mark.parametrize(
    ("version", "settings", "reason"),
    [
        ("3.9.1", {}, ""),
        ("2.20.26", {}, "Prefect 2.20.26 has none without experimental settings, 3.0 does"),
        ("3.9.1", off("triggers"), "the server's services for them are disabled (triggers, event_persister)"),
        ("3.9.1", off("event_persister"), "the server's services for them are disabled (triggers, event_persister)"),
    ],
)
def test_events_and_automations(
    server: Server, host: Laptop, version: str, settings: dict[str, Any], reason: str
) -> None:
    server.table.update({"GET /api/admin/version": (200, version), "GET /api/admin/settings": (200, settings)})
    assert automation.impossible(host, Api(f"{server.url}/api")) == reason


@pytest.mark.parametrize(
    ("settings", "on"),
    [({}, True), (off("scheduler"), False), ({"PREFECT_API_SERVICES_SCHEDULER_ENABLED": "False"}, False)],
)
def test_schedules(server: Server, host: Laptop, settings: dict[str, Any], on: bool) -> None:
    server.table["GET /api/admin/settings"] = (200, settings)
    assert switched_on(host, Api(f"{server.url}/api"), SCHEDULER) == on
