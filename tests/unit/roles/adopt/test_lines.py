"""The inventory lines that continue a server, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from encamp.errors import SettingsError
from encamp.resources.base import Failure
from encamp.shared.secret import Secret
from roles.adopt.discovery import Discovery, discoveries
from roles.adopt.kinds import data, dump, way_back_script
from roles.adopt.kinds.inquiry_script import SCRIPT
from roles.adopt.kinds.survey import sealed
from roles.adopt.lines import lines_for, public_url
from roles.adopt.settings import Settings

PAD = Secret("5a" * 8192)


def found(**changes: Any) -> Discovery:
    known: dict[str, Any] = {
        "name": "prefect.service",
        "kind": "unit",
        "keeper": "prefect.service",
        "user": "flows",
        "path": "/etc/systemd/system/prefect.service",
        "running": True,
        "bind": "0.0.0.0",
        "port": 4200,
        "project": "",
        "problem": "",
        "database": "/home/flows/.prefect/prefect.db",
        "drop_ins": (),
        "runners": (),
        "release": "3.9.1",
        "sqlite": "/home/flows/.prefect/prefect.db",
        "place": "file",
    }
    return Discovery(**{**known, **changes})


def settings(**changes: Any) -> dict[str, Any]:
    return dict(lines_for("vm1", found(**changes), True).settings)


def test_a_server_with_sqlite_needs_three_lines() -> None:
    assert settings() == {"adopt": "prefect.service", "prefect_version": "3.9.1", "database": "sqlite"}


def test_a_postgres_is_used_where_it_is_and_its_url_is_a_secret() -> None:
    url = Secret("postgresql+asyncpg://a:b%40@db:5432/x")
    lines = lines_for("vm1", found(sqlite="", place="url", database_url=url), True)
    assert lines.settings["database_url"] == {"file": "secrets/adopted-vm1-database-url"}
    assert lines.secrets == {"secrets/adopted-vm1-database-url": url}
    assert "b%40" not in str(lines)


def test_a_postgres_in_a_container_becomes_the_hosts_own() -> None:
    url = Secret("postgresql+asyncpg://a:b@db:5432/x")
    assert settings(sqlite="", place="container", database_url=url)["database"] == "postgres"


def test_port_address_access_and_the_servers_own_settings_are_kept() -> None:
    given = {
        "PREFECT_SERVER_API_HOST": "10.0.0.5",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "60.0",
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite:///x",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "True",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_API_KEY": "pnu_x",
        "PREFECT_HOME": "/home/flows/.prefect",
        "PREFECT_SERVER_ENCRYPTION_KEY": "k" * 43 + "=",
        "PREFECT_SERVER_DOCKET_URL": "redis://h:6379/1",
        "PREFECT_SERVER_X_TOKEN": "t-hidden",
        "PREFECT_SERVER_EVENTS_URL": "amqp://u:p-hidden@h/x",
        "PREFECT_SERVER_X_LIST": "[]",
        "PREFECT_SERVER_X_TEXT": "",
        "PREFECT_SERVER_DATABASE_HOST": "db",
    }
    server = found(
        port=4300,
        bind="10.0.0.5",
        api_url="http://127.0.0.1:4300/api",
        ui_api_url="https://flows.example.com/api",
        auth=Secret("admin:x"),
        given={name: Secret(value) for name, value in given.items()},
    )
    lines = lines_for("vm1", server, True)
    assert lines.settings == {
        "adopt": "prefect.service",
        "prefect_version": "3.9.1",
        "port": 4300,
        "bind": "10.0.0.5",
        "public_url": "https://flows.example.com",
        "database": "sqlite",
        "auth": {"file": "secrets/adopted-vm1-auth"},
        "csrf": True,
        "server_environment": {
            "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "60.0",
            "PREFECT_SERVER_ENCRYPTION_KEY": {"file": "secrets/adopted-vm1-encryption-key"},
            "PREFECT_SERVER_X_TOKEN": {"file": "secrets/adopted-vm1-prefect-server-x-token"},
            "PREFECT_SERVER_EVENTS_URL": {"file": "secrets/adopted-vm1-prefect-server-events-url"},
        },
    }
    assert lines.secrets["secrets/adopted-vm1-prefect-server-x-token"] == Secret("t-hidden")
    assert "hidden" not in f"{lines}"
    assert any("PREFECT_SERVER_DOCKET_URL is left out" in note for note in lines.notes)
    assert any("PREFECT_SERVER_X_LIST is left out: it is empty" in note for note in lines.notes)


def test_a_name_inside_a_compose_project_is_no_address_of_clients() -> None:
    assert public_url(found(project="p", api_url="http://server:4200/api")) == ""
    assert public_url(found(api_url="http://server:4200/api")) == "http://server:4200"
    assert public_url(found(ui_api_url="http://localhost:4200/api", api_url="http://10.1.1.1:4200/api")).endswith(
        "10.1.1.1:4200"
    )


def test_workers_of_the_same_project_are_declared_others_are_left() -> None:
    inside = ("worker", "p-worker-1", "container", "etl", "http://server:4200/api")
    outside = ("worker", "etl.service", "unit", "night", "")
    lines = lines_for(
        "vm1",
        found(kind="container", name="container p-server-1", project="p", runners=(inside, inside, outside)),
        True,
    )
    assert lines.settings["workers"] == [{"pool": "etl", "count": 2}]
    assert any("etl.service of pool night is left as it is" in note for note in lines.notes)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"release": "", "problem": "Traceback\nModuleNotFoundError: prefect"}, "ModuleNotFoundError"),
        ({"obstacle": "x is kept running by PM2", "remedy": "take it out of PM2"}, "PM2"),
        ({"release": "1.4.1"}, "1.4.1"),
        ({"unread": "OSError: refused"}, "could not be read: OSError"),
        ({"sqlite": "", "place": "url", "database_url": Secret("postgresql+psycopg2://a:b@h/x")}, "psycopg2"),
    ],
)
def test_what_cannot_be_continued_is_refused_with_a_reason(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        lines_for("vm1", found(**changes), True)


def test_settings_travel_under_the_pad() -> None:
    secret = {"prefect.service": {"database_url": "postgresql://u:hidden@h/x", "auth": "a:hidden", "given": {}}}
    covered = sealed(json.dumps(secret), PAD)
    shown = {key: getattr(found(), key) for key in Discovery.__record_fields__}  # type: ignore[attr-defined]
    shown |= {"database_url": None, "auth": None, "given": ["X"]}
    (seen,) = discoveries([json.dumps(shown)], covered, PAD)
    assert seen.database_url == Secret("postgresql://u:hidden@h/x")
    assert seen.auth == Secret("a:hidden")
    with pytest.raises(Failure, match="too long"):
        sealed("x" * 8193, PAD)


@pytest.mark.parametrize(
    "name", ["x.service", "prefect@prod.service", "flows/p.service", "container a_b-1", "process flows:4200", ""]
)
def test_names_that_the_survey_gives_are_accepted(name: str) -> None:
    check = Settings.__dataclass_fields__["adopt"].metadata["spec"].check  # type: ignore[attr-defined]
    assert check(name) is None
    assert check(f"{name} --now") is not None


def test_a_dump_of_a_newer_postgres_fits_an_older_one() -> None:
    text = (
        "\\restrict abc\nSET statement_timeout = 0;\nSET transaction_timeout = 0;\n"
        "CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;\nCOMMENT ON EXTENSION pg_trgm IS 'x';\n"
        "COPY public.log (message) FROM stdin;\nSET transaction_timeout = 0;\nCREATE EXTENSION x\n\\.\n"
        "SELECT 1;\n\\unrestrict abc\n"
    )
    done = subprocess.run([sys.executable, "-c", dump._FILTER], input=text, capture_output=True, text=True, check=True)
    assert done.stdout == (
        "SET statement_timeout = 0;\nCOPY public.log (message) FROM stdin;\nSET transaction_timeout = 0;\n"
        "CREATE EXTENSION x\n\\.\nSELECT 1;\n"
    )


@pytest.mark.parametrize("text", [SCRIPT, way_back_script.SCRIPT, data._COPY, dump._FILTER])
def test_programs_for_hosts_compile(text: str) -> None:
    compile(text, "program", "exec")
