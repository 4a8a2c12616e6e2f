"""Certificates that an operator brings: each mistake is told in words, and no word of a key."""

from __future__ import annotations

import datetime

import pytest

from encamp.shared.secret import Secret
from roles.network.certificate_files import InvalidCertificate, check, covers
from tests.certificates import Issuer

NOW = datetime.datetime.now(datetime.timezone.utc)
NAME = "prefect.test"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer("company")


def problem(chain: str, key: str, name: str = NAME) -> str:
    try:
        check(chain, Secret(key), name, NOW)
    except InvalidCertificate as invalid:
        assert invalid.fix and "PRIVATE KEY-----\n" not in f"{invalid}{invalid.fix}"
        return str(invalid)
    return ""


def test_a_chain_with_its_key_is_taken(issuer: Issuer) -> None:
    chain, key = issuer.leaf(NAME)
    assert problem(chain, key) == "" and problem(chain + issuer.pem, key) == ""
    wild, key = issuer.leaf("*.test")
    assert problem(wild, key) == ""


def test_what_is_wrong_is_said(issuer: Issuer) -> None:
    chain, key = issuer.leaf(NAME)
    assert "contains no readable certificate" in problem("no certificate", key)
    assert "contains a private key" in problem(chain + key, key)
    assert "key cannot be read" in problem(chain, "no key")
    assert "do not match" in problem(chain, issuer.leaf(NAME)[1])
    assert "do not match" in problem(issuer.pem + chain, key)
    assert "certificate 2 in the file did not sign certificate 1" in problem(chain + Issuer("other").pem, key)
    assert "is for prefect.test, not for other.test" in problem(chain, key, "other.test")
    assert "not for 192.0.2.7" in problem(chain, key, "192.0.2.7")
    old, key = issuer.leaf(NAME, datetime.timedelta(days=-3))
    assert "ended at" in problem(old, key)
    soon, key = issuer.leaf(NAME, datetime.timedelta(hours=3))
    assert "ends at" in problem(soon, key)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a.test", "A.test.", True),
        ("*.test", "a.test", True),
        ("*.test", "a.b.test", False),
        ("*.test", "test", False),
        ("a.test", "b.test", False),
    ],
)
def test_names(pattern: str, name: str, expected: bool) -> None:
    assert covers(pattern, name) is expected
