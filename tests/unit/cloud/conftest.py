"""Fixtures of tests against an EC2 of our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ec2 import Account, ec2_server, variables


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a moto server."""
    with ec2_server(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture
def account(moto: str, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A network of its own at the moto server, and this process with credentials for it."""
    for name, value in variables(moto).items():
        monkeypatch.setenv(name, value)
    return Account(moto)
