"""Which variables must be given as a secret, by their name or their value, and what is shown of a text with them."""

from __future__ import annotations

import pytest

from encamp.resources.base import unified
from encamp.shared.secret_names import concealed, is_secret

SECRET = [
    ("PREFECT_SERVER_ENCRYPTION_KEY", "xQ7"),
    ("ORION_ENCRYPTION_KEY", "xQ7"),
    ("PREFECT_SERVER_DATABASE_PASSWORD", "12345678"),
    ("PREFECT_SERVER_API_AUTH_STRING", "admin:pw"),
    ("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-Token": "a"}'),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG"),
    ("GITHUB_TOKEN", "ghp_x"),
    ("PGPASSWORD", "x"),
    ("MYSQL_PWD", "x"),
    ("db_password", "x"),
    ("OPENAI_APIKEY", "x"),
    ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://prefect:pw@db/prefect"),
    ("BROKER", "redis://:pw@cache:6379/0"),
    ("X", "postgresql://prefect:p@ss/w0rd@db/prefect"),
    ("SENTRY_DSN", "https://0123abcd@o1.ingest.example.com/1"),
    ("PIP_INDEX_URL", "https://token@pypi.example.com/simple"),
    ("HOOK", "https://example.com/x?token=abc"),
]
PLAIN = [
    ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "P30D"),
    ("PREFECT_API_KEY", ""),
    ("USE_TOKEN", "true"),
    ("TLS_KEY", "/etc/ssl/private/key.pem"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/srv/gcp.json"),
    ("SSH_KEY", "~/.ssh/id_ed25519"),
    ("TOKEN_FILE", "token.txt"),
    ("MONKEY", "george"),
    ("MAX_TOKENS", "500"),
    ("AWS_ACCESS_KEY_ID", "AKIA0000"),
    ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://prefect@/prefect?host=/var/run/postgresql"),
    ("REPOSITORY", "ssh://git@github.com/PrefectHQ/prefect.git"),
    ("URL", "https://pypi.example.com/simple?page=2"),
    ("MAIL", "root@example.com"),
    ("AT", "http://h:4200/a@b"),
]


@pytest.mark.parametrize(("name", "value"), SECRET)
def test_a_secret(name: str, value: str) -> None:
    assert is_secret(name, value)


@pytest.mark.parametrize(("name", "value"), PLAIN)
def test_no_secret(name: str, value: str) -> None:
    assert not is_secret(name, value)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("PREFECT_SERVER_API_AUTH_STRING=admin:hunter2", "PREFECT_SERVER_API_AUTH_STRING=***"),
        ('Environment="A=1" "API_TOKEN=hunter2" B=2', 'Environment="A=1" "API_TOKEN=***'),
        ('  "password": "hunter2",', '  "password": ***'),
        ("  POSTGRES_PASSWORD: hunter2", "  POSTGRES_PASSWORD: ***"),
        ("host all all ::/0 ldap ldapbindpasswd=hunter2", "host all all ::/0 ldap ldapbindpasswd=***"),
        ("url = postgres://u:hunter2@h/d # mine", "url = postgres://***@h/d # mine"),
        ("PASSWORD_FILE=/run/x", "PASSWORD_FILE=/run/x"),
        ("USE_TOKEN=true", "USE_TOKEN=true"),
        ("PREFECT_API_URL=http://h:4200/api", "PREFECT_API_URL=http://h:4200/api"),
        ("password:", "password:"),
    ],
)
def test_a_text_is_shown_without_them(line: str, shown: str) -> None:
    assert concealed(f"{line}\nx") == f"{shown}\nx"


def test_a_diff_does_not_show_what_was_declared_before() -> None:
    """As with ``auth: off``: the new text holds no secret, and the old one still does."""
    diff = unified("A=1\nAUTH_STRING=admin:hunter2\n", "A=2\n", "/etc/x.env")
    assert "-A=1" in diff and "+A=2" in diff and "-AUTH_STRING=***" in diff and "hunter2" not in diff
