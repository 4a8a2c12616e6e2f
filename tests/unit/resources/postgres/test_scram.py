"""SCRAM verifiers against those that a real PostgreSQL 15 stored for the same passwords."""

from __future__ import annotations

import base64

import pytest

from encamp.resources.postgres.scram import matches, normalized, verifier

# Password, and salt, stored key, server key as read from pg_authid.
STORED = [
    (
        "pencil",
        "2ICKgrW+YctNMi9rOcFVhw==",
        "ITWNUaUvbg8jyMl45y+blptyEn+1tv/L1euSWDC/1QM=",
        "Zr6/YmzzkxhcRdlIp8jcGOmOqLvjFkfemLHAPGgOZuE=",
    ),
    (  # a ligature and a superscript become plain letters
        "ünïcödé ﬁ ²",
        "L63mmVXGJx/5a7UdyuFfGA==",
        "oRsTnwKUQsJSIWQIC55hzTBgCp8Ishi7kf9OmUbHDX8=",
        "kFdtzG5pccvQKRWWjbpP0vxe2NjegFRFmuXUezaNlp8=",
    ),
    (  # a no-break space becomes a space, a soft hyphen nothing
        "a\u00a0b\u00ad",
        "WS45dV7iNpQ9z2wVPgIkag==",
        "UGyn6trKK/L+huWjYwyPjaDZZmhHwHXm8yrtrus87T4=",
        "UsqhDdbXMkUMTt/HxSX2iZ6qDdSwB3rRCMZNPZbUPcc=",
    ),
    (  # prohibited: used as it is
        "\u202eabc",
        "mWfvTidtZWU97+uadw5oYA==",
        "bQO0u07DWO570f7BQBub6u/LL7uB6UpfOMY7QN5mb3Y=",
        "e3QmjHJcXWSDA8ldjL+QqumkL1iJrgXR1VxqHS47nRQ=",
    ),
    (  # right to left throughout
        "\u05e2\u05d1\u05e8\u05d9\u05ea",
        "pfpSZMpMo9JXLbk6pvTXeA==",
        "vhGAl0PSu9yaYa+GLQIECsbmybSFsh1kU8ywHfAmoPw=",
        "8H3EQFSAfcn6QUmFBvaltty2IBnMto2Q3ptKsjTLXb8=",
    ),
    (  # mixed directions: used as it is
        "\u05e2\u05d1\u05e8\u05d9\u05eaa",
        "3YrqcNv/hlYCQNZzEETOFg==",
        "8zsdWLmXfdRYJ7+yRlB56ihWlK0slA6t8KnMDkDLeY0=",
        "gdLXaQ+3OX1hfIsOgDIIn+nlPbSAz3wV2GnHUiLAC/8=",
    ),
    (
        "\u2168",
        "iSxRVr2wdQ25AsdIrw/7xg==",
        "1arhzn3VocBqJQqoK9ZeGorjc6V5TQdrhrWceiYq5ow=",
        "Z1lj3SiZQwRAXTgHEbW/FJOAcmtZEgUsS01Q++hndvY=",
    ),
]


@pytest.mark.parametrize(("password", "salt", "stored", "server"), STORED)
def test_the_server_would_store_the_same(password: str, salt: str, stored: str, server: str) -> None:
    expected = f"SCRAM-SHA-256$4096:{salt}${stored}:{server}"
    assert verifier(password, base64.b64decode(salt)) == expected
    assert matches(expected, password)
    assert not matches(expected, password + "x")


def test_iterations_come_from_the_stored_verifier() -> None:
    assert matches(verifier("secret", b"0123456789abcdef", 7), "secret")
    assert "SCRAM-SHA-256$7:" in verifier("secret", b"0123456789abcdef", 7)


@pytest.mark.parametrize("stored", ["", "md5a2dbfc9eec8b5b2b4a4e7e8a5b5b5b5b", "plain", "SCRAM-SHA-256$x:y$z:w"])
def test_what_is_no_scram_verifier_never_matches(stored: str) -> None:
    assert not matches(stored, "plain")


def test_plain_ascii_is_left_alone() -> None:
    every = "".join(map(chr, range(1, 127)))
    assert normalized(every) == every
