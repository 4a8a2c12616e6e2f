"""What is told of a hand-made server holds none of its secrets, whatever they stand in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from encamp.resources.system import Result
from encamp.shared.secret import Secret
from roles.adopt.kinds import survey
from roles.adopt.kinds.keeper import Keeper
from roles.adopt.kinds.processes import Process
from roles.adopt.kinds.secrecy import shown_url, veiled, without_login
from roles.adopt.kinds.survey import Survey
from tests.unit.resources.case_host import CaseHost

PAD = Secret("5a" * 65536)
SECRETS = ("pa@ss/w:rd", "pa%40ss%2Fw%3Ard", "api-hidden", "auth-hidden", "token-hidden", "ui-hidden")
URL = "postgresql+asyncpg://flows:pa%40ss%2Fw%3Ard@db:5432/etl"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "postgresql+asyncpg://***@db:5432/etl"),
        ("postgresql+asyncpg://u:a/b@c@db/etl", "postgresql+asyncpg://***@db/etl"),
        (
            "postgresql+asyncpg:///etl?host=/run&user=u&password=hidden&ssl=true",
            "postgresql+asyncpg:///etl?host=/run&user=u&password=***&ssl=true",
        ),
        ("http://127.0.0.1:4200/api", "http://127.0.0.1:4200/api"),
        ("/home/flows/.prefect/prefect.db", "/home/flows/.prefect/prefect.db"),
    ],
)
def test_urls_are_shown_without_their_logins(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_an_address_for_clients_has_no_login() -> None:
    assert without_login("https://u:p@flows.example.com/api") == "https://flows.example.com/api"


class Inquired(CaseHost):
    """A host with a server that is asked; its findings are what goes to the controller."""

    def __init__(self, data: Any, result: Result) -> None:
        super().__init__(data)
        self.result, self.findings = result, list[Any]()

    def query(self, argv: Any, *_: Any, **__: Any) -> Result:
        return self.result if "-c" in argv else Result(tuple(argv), 0, "", "")

    def finding(self, data: Any) -> None:
        self.findings.append(data)


def surveyed(result: Result, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything that a survey sends, as text."""
    environment = (
        f"PREFECT_API_DATABASE_CONNECTION_URL={URL}\0PREFECT_API_URL=http://u:api-hidden@127.0.0.1:4200/api\0"
        "PREFECT_SERVER_API_AUTH_STRING=admin:auth-hidden\0SLACK_TOKEN=token-hidden\0"
    )
    files = {
        "/proc/100/stat": "100 (prefect) S 1 5",
        "/proc/100/cmdline": "/v/bin/python\0/v/bin/prefect\0server\0start\0",
        "/proc/100/cgroup": "0::/system.slice/prefect.service",
        "/proc/100/status": "Uid:\t0\t0\t0\t0\n",
        "/proc/100/environ": environment,
        "/proc/101/stat": "101 (prefect) S 1 5",
        "/proc/101/cmdline": "/v/bin/python\0/v/bin/prefect\0worker\0start\0--pool\0etl\0",
        "/proc/101/cgroup": "0::/system.slice/worker.service",
        "/proc/101/status": "Uid:\t0\t0\t0\t0\n",
        "/proc/101/environ": environment,
    }
    monkeypatch.setattr(survey, "place_of", lambda host, server: "url")
    host = Inquired({"files": files}, result)
    Survey("servers", PAD).check(host)
    assert len(host.findings) == 2
    return json.dumps(host.findings)


def test_an_inquiry_sends_no_secret_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {
        "release": "3.9.1",
        "python": "3.11",
        "home": "/h",
        "database_url": URL,
        "auth": "admin:auth-hidden",
        "api_url": "http://u:api-hidden@127.0.0.1:4200/api",
        "ui_api_url": "https://x:ui-hidden@flows.example.com/api",
        "host": "0.0.0.0",
        "port": "4200",
        "given": {"PREFECT_SERVER_X_TOKEN": "token-hidden"},
        "counts": {},
        "problem": 'InvalidPasswordError: password "pa@ss/w:rd" of flows is wrong: token-hidden, auth-hidden',
    }
    sent = surveyed(Result((), 0, json.dumps(answer), ""), monkeypatch)
    assert [secret for secret in SECRETS if secret in sent] == []
    assert "flows.example.com" in sent
    assert "of flows is wrong" in sent


def test_an_installation_that_fails_is_quoted_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = f"Traceback\nValidationError: {URL} is wrong, so is admin:auth-hidden\nSLACK_TOKEN: token-hidden"
    sent = surveyed(Result((), 1, "", printed), monkeypatch)
    assert [secret for secret in SECRETS if secret in sent] == []
    assert "ValidationError" in sent


def test_a_password_that_is_the_users_name_hides_no_other_word() -> None:
    keeper = Keeper("process", "", "p", "1")
    environment = {"X_URL": "postgresql://prefect:prefect@db/prefect"}
    process = Process(1, "server", "p", ("python",), "/", environment, keeper)
    assert veiled("No module named 'prefect'", process, None) == "No module named 'prefect'"
