"""Connection URLs of Postgres: what people are given, what Prefect's driver needs, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encamp.shared.secret import Secret
from roles.database.url import Connection, parse

HOSTILE = "".join(chr(number) for number in range(32, 127))


def revealed(connection: Connection) -> str:
    found = connection.url()
    return found.reveal() if isinstance(found, Secret) else found


@pytest.mark.parametrize(
    ("text", "url", "tls"),
    [
        ("postgresql://u:p@h/db", "postgresql+asyncpg://u:p@h:5432/db", None),
        ("postgres://u:p%40s@H:6543/db?sslmode=require", "postgresql+asyncpg://u:p%40s@h:6543/db", "require"),
        ("postgresql+asyncpg://u:p@h/db?ssl=verify-full", "postgresql+asyncpg://u:p@h:5432/db", "verify"),
        ("postgresql://u:p@h/db?sslmode=disable", "postgresql+asyncpg://u:p@h:5432/db", "off"),
        ("postgresql://u:a:b+c@h/my-db", "postgresql+asyncpg://u:a%3Ab%2Bc@h:5432/my-db", None),
        ("postgresql://u:p@[2001:db8::7]:5/db", "postgresql+asyncpg://u:p@[2001:db8::7]:5/db", None),
        ("postgresql://u@/db?host=/run/pg", "postgresql+asyncpg://u@/db?host=/run/pg", None),
        (
            "postgresql://u:p@/db?host=a:1,b:2&target_session_attrs=primary",
            "postgresql+asyncpg://u:p@/db?host=a:1,b:2&target_session_attrs=primary",
            None,
        ),
        (
            "postgresql://u:p@h/db?prepared_statement_cache_size=0",
            "postgresql+asyncpg://u:p@h:5432/db?prepared_statement_cache_size=0",
            None,
        ),
    ],
)
def test_what_providers_hand_out_becomes_what_the_driver_needs(text: str, url: str, tls: str | None) -> None:
    found = parse(Secret(text))
    assert (revealed(found), found.tls) == (url, tls)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("postgresql://u:p@ss/w:rd@h/db", "not percent-encoded"),
        ("postgresql://u:p@ss@h/db", "not percent-encoded"),
        ("postgresql://u:hidden/word@h/db", "not percent-encoded"),
        ("postgresql://u:hidden?word=1@h/db", "not percent-encoded"),
        ("postgresql://u:hid@h?word=x@h/db", "names no database"),
        ("postgresql://u:hidden#word@h/db", "not percent-encoded"),
        ("postgresql://u:hidden%@h/db", "not percent-encoded"),
        ('postgresql://u:hidden"@h/db', "not percent-encoded"),
        ("postgresql://u:hidden @h/db", "space or an unprintable"),
        ("postgresql://u:hidden\n@h/db", "space or an unprintable"),
        ("postgresql+psycopg2://u:hidden@h/db", "driver psycopg2"),
        ("mysql://u:hidden@h/db", "is not a Postgres URL"),
        ("sqlite+aiosqlite:///hidden", "is a SQLite URL"),
        ("u:hidden@h/db", "is not a Postgres URL"),
        ("postgresql://h/db", "names no user"),
        ("postgresql://u:hidden@/db", "names no host"),
        ("postgresql://u:hidden@h", "names no database"),
        ("postgresql://u:hidden@h/my%20db", "percent-encoded database name"),
        ("postgresql://u:hidden@h:high/db", "port"),
        ("postgresql://u:hidden@h:70000/db", "port"),
        ("postgresql://u:p@h/db?hidden=1", "a parameter that"),
        ("postgresql://u:p@h/db?channel_binding=require", "channel_binding"),
        ("postgresql://u:p@h/db?sslrootcert=/hidden", "sslrootcert"),
        ("postgresql://u:p@h/db?sslmode=maybe", "unknown sslmode"),
    ],
)
def test_what_would_be_misread_is_refused_without_being_repeated(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(Secret(text))
    told, fix = caught.value.args
    assert problem in told and fix
    assert "hid" not in told + fix and "word" not in told.replace("password", "")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.text("ab/@:%'\" ", min_size=1))
def test_any_password_and_user_come_back(password: str, user: str) -> None:
    made = Connection(user, Secret(password), "h", 5432, "d b/")
    text = revealed(made)
    back = parse(Secret(text.replace("d%20b%2F", "db")))
    assert back.password is not None
    assert (back.user, back.password.reveal(), back.host) == (user, password, "h")
    assert not set("${}") & set(text), "Prefect 2 fills in ${NAME} in values"


def test_every_printable_character() -> None:
    back = parse(Secret(revealed(Connection("u", Secret(HOSTILE), "h", 1, "d"))))
    assert back.password is not None and back.password.reveal() == HOSTILE


def test_a_secret_stays_one() -> None:
    assert "hidden" not in repr(parse(Secret("postgresql://u:hidden@h/db")))
    assert str(parse(Secret("postgresql://u:hidden@h/db")).url()) == "***"
