"""Retention by release: names, forms, and what a release cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.errors import SettingsError
from encamp.inventory.load import load_inventory
from encamp.site import Site
from roles.prefect import versions
from roles.server import retention


def environment(tmp_path: Path, version: str, values: str) -> dict[str, str]:
    text = f"all: {{children: {{servers: {{hosts: {{vm1: {{prefect_version: '{version}', {values}}}}}}}}}}}\n"
    (tmp_path / "hosts.yml").write_text(text)
    host = Site(load_inventory(tmp_path), []).host("vm1")
    return versions.environment(retention.server_settings(host), version)


VACUUM = "PREFECT_SERVER_SERVICES_DB_VACUUM"


@pytest.mark.parametrize(
    ("version", "values", "wanted"),
    [
        ("3.9.1", "", {}),
        (
            "3.9.1",
            "retention_runs: 90, retention_events: 30",
            {
                f"{VACUUM}_ENABLED": "events,flow_runs",
                f"{VACUUM}_RETENTION_PERIOD": "P90D",
                "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P30D",
            },
        ),
        ("2.20.26", "retention_events: 2", {"PREFECT_EVENTS_RETENTION_PERIOD": "172800"}),
        ("3.0.11", "retention_events: 2", {"PREFECT_EVENTS_RETENTION_PERIOD": "P2D"}),
    ],
)
def test_a_release_gets_its_own_names_and_forms(
    tmp_path: Path, version: str, values: str, wanted: dict[str, str]
) -> None:
    assert environment(tmp_path, version, values) == wanted


@pytest.mark.parametrize(
    ("version", "values", "since"),
    [("3.6.18", "retention_runs: 90", "3.6.19"), ("2.18.1", "retention_events: 30", "2.18.2")],
)
def test_what_a_release_cannot_do_is_an_error_with_the_line(
    tmp_path: Path, version: str, values: str, since: str
) -> None:
    with pytest.raises(SettingsError, match="cannot do that") as told:
        environment(tmp_path, version, values)
    assert f"choose {since} or later" in told.value.fix and told.value.where and told.value.where.line == 1
