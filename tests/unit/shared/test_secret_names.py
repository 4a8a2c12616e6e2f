"""Variables that hold a secret though they are written as plain text: kept out of diffs, plans and listings."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.cli.options import Options
from encamp.commands.settings import settings as show_settings
from encamp.resources.files.file import File
from encamp.shared.secret import Secret
from encamp.shared.secret_names import may_be_secret
from tests.trees import write
from tests.unit.roles.test_stages import planned

BASE = "ansible_host: 192.0.2.7, database: sqlite"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGPASSWORD", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("GITHUB_TOKEN", "x"),
        ("github_token", "x"),
        ("API_KEY", "x"),
        ("OPENAI_APIKEY", "x"),
        ("SMTP_PASS", "x"),
        ("DB_PASSWORD_OLD", "x"),
        ("PREFECT_SERVER_API_AUTH_STRING", "admin:x"),
        ("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-Key": "x"}'),
        ("DSN", "postgres://u:p@h/d"),
        ("BROKER", "see redis://:p@h:6379/0"),
    ],
)
def test_a_secret_is_known_by_its_name_or_by_a_login(name: str, value: str) -> None:
    assert may_be_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REGION", "eu-1"),
        ("MONKEY", "x"),
        ("COMPASS", "north"),
        ("PASSWORD_FILE", "/run/x"),
        ("ANSIBLE_HOST_KEY_CHECKING", "false"),
        ("PREFECT_API_URL", "http://h:4200/api"),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "P30D"),
        ("MAIL", "a@example.com"),
    ],
)
def test_other_variables_are_none(name: str, value: str) -> None:
    assert not may_be_secret(name, value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("workers: [{environment: {REGION: eu-1, TOKEN: hunter2}}]", "/etc/prefect/default/worker-default.env"),
        ("workers: [{environment: {DSN: 'postgres://u:hunter2@h/d'}}]", "/etc/prefect/default/worker-default.env"),
        ("server_environment: {PREFECT_X_API_KEY: hunter2}", "/etc/prefect/default/server.env"),
    ],
)
def test_the_file_of_a_variable_is_a_secret_and_closed(tmp_path: Path, text: str, path: str) -> None:
    plan = planned(tmp_path, {"vm1": f"{{{BASE}, {text}}}"})[1]
    [file] = [step.resource for step in plan.steps if step.resource.id == f"File:{path}"]
    assert isinstance(file, File) and isinstance(file.content, Secret) and file.mode & 0o007 == 0
    assert "hunter2" in file.content.reveal()
    assert "hunter2" not in repr([step.resource for step in plan.steps])


def test_settings_do_not_show_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    variables = "{REGION: eu-1, TOKEN: hunter2, DSN: 'a://u:hunter2@h/d', OTHER_TOKEN: {env: WHERE}}"
    text = f"servers:\n  hosts:\n    vm1: {{workers: [{{environment: {variables}}}], host_key_checking: accept-new}}\n"
    show_settings(Options(None, "", str(write(tmp_path, {"hosts.yml": text}))))  # type: ignore[arg-type]
    shown = capsys.readouterr().out
    assert "hunter2" not in shown
    assert all(word in shown for word in ("eu-1", "env: WHERE", "accept-new"))
