"""Log texts, as real servers and clients wrote them, find their cause."""

from __future__ import annotations

import pytest

from roles.prefect.kinds.known_failures import KNOWN, KNOWN_CLIENT, explain, explain_client


@pytest.mark.parametrize(
    ("log", "word"),
    [
        ("TypeError: Body() got an unexpected keyword argument 'min_items'", "newer"),
        ("OSError: [Errno 30] Read-only file system: '/opt/x/prefect/server/ui_build'", "UI"),
        ("Failed to create V2 UI static directory at '/x'", "UI"),
        ("OSError: [Errno 111] Connect call failed ('127.0.0.1', 5432)", "listen"),
        ("socket.gaierror: [Errno -2] Name or service not known", "resolved"),
        ("alembic.util.exc.CommandError: Can't locate revision identified by '27d8f4e1a6c9'", "newer Prefect"),
        ("ModuleNotFoundError: No module named 'psycopg'", "driver"),
        ("ModuleNotFoundError: No module named 'psycopg2'", "driver"),
        ("Port 4200 is already in use. Please specify a different port", "port"),
        ("[Errno 98] error while attempting to bind on address ('0.0.0.0', 4200): address already in use", "port"),
        ('asyncpg.exceptions.InvalidPasswordError: password authentication failed for user "prefect"', "password"),
        ('asyncpg.exceptions.InvalidAuthorizationSpecificationError: role "prefect" does not exist', "role"),
        ('asyncpg.exceptions.InvalidCatalogNameError: database "prefect" does not exist', "database is missing"),
        ('Peer authentication failed for user "prefect"', "system user"),
        ('no pg_hba.conf entry for host "10.0.0.1", user "prefect"', "accept"),
        ("sqlite3.OperationalError: no such table: _alembic_tmp_flow_run", "temporary"),
        ("sqlite3.OperationalError: unable to open database file", "SQLite"),
        ("ERROR:    Application startup failed. Exiting.", "exited"),
    ],
)
def test_server_log(log: str, word: str) -> None:
    known = explain(f"INFO starting\n{log}\nINFO done")
    assert known and word in known.cause


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ("ModuleNotFoundError: No module named 'prefect'", "not installed"),
        ("Found incompatible versions: client: 3.9.1, server: 2.8.7. Major versions must match.", "major"),
        ("Client error '401 Unauthorized' for url 'http://h/api/admin/version'", "password"),
        ("RuntimeError: Failed to reach API at http://h:4200/api", "respond"),
        (
            "'exception_detail': [{'type': 'extra_forbidden', 'loc': ['body', 'labels'], 'msg': 'Extra inputs",
            "releases",
        ),
        (
            "[{'loc': ['body', 'version'], 'msg': 'extra fields not permitted', 'type': 'value_error.extra'}]",
            "releases",
        ),
        ("Exception: Unable to authenticate to the event stream. Please ensure the provided auth_token", "3.6.14"),
        ("ValueError: No Prefect API URL provided. Please set PREFECT_API_URL", "no API URL"),
    ],
)
def test_client_output(output: str, word: str) -> None:
    known = explain_client(output)
    assert known and word in known.cause


def test_an_ordinary_log_has_no_cause() -> None:
    assert explain("Starting...\nCheck out the dashboard at http://127.0.0.1:4200\nINFO: GET /api/health 200") is None


def test_every_entry_says_what_to_do() -> None:
    assert all(known.cause and known.fix for known in (*KNOWN, *KNOWN_CLIENT))
