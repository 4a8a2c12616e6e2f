"""Which variables must be given as a secret, by their name or their value."""

from __future__ import annotations

import pytest

from encamp.shared.secret_names import is_secret

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
