"""Which secrets are masked in logs: those of a host's settings by themselves, wherever its files have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.inventory.load import load_inventory
from encamp.site import Site
from roles.logs import sources

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
SITE = """\
all:
  children:
    servers:
      hosts:
        vm1: {ansible_host: 192.0.2.1, auth: {env: AUTH}, server_environment: {PREFECT_X: {env: OTHER}}}
    workers:
      hosts:
        w1:
          ansible_host: 192.0.2.2
          workers: [{pool: etl, environment: {TOKEN: {env: TOKEN}, REGION: eu}, deploy_key: {env: KEY}}]
"""


def masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> set[str]:
    given = {"AUTH": "admin:pass:word", "OTHER": "of the server", "TOKEN": "a token & more", "KEY": KEY}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "hosts.yml").write_text(SITE)
    site = Site(load_inventory(tmp_path), [])
    return {secret.reveal() for secret in sources.secrets_of(site.host(host), site)}


def test_a_workers_secrets_are_masked_by_themselves_and_so_is_the_login_of_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = masked(tmp_path, monkeypatch, "w1")
    assert {"a token & more", "admin:pass:word", "pass:word", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"} <= found
    assert not {"eu", "AAAA", "of the server"} & found and not any("\n" in secret for secret in found)


def test_a_servers_secrets_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = masked(tmp_path, monkeypatch, "vm1")
    assert {"admin:pass:word", "pass:word", "of the server"} <= found and "a token & more" not in found
