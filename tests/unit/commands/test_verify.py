"""Whom ``fab verify`` asks for a flow run, worked out with no host touched."""

from __future__ import annotations

from pathlib import Path

import fabric
import pytest

from encamp.cli.options import Options
from encamp.commands import verify
from encamp.commands.load_site import load_site
from encamp.errors import UsageError
from roles.proof.kinds.flow_run import VerificationRun

SITE = """
all:
  children:
    servers:
      hosts:
        vm1: {ansible_host: 192.0.2.1}
        vm2: {ansible_host: 192.0.2.2, runtime: compose}
    databases:
      hosts:
        db1: {ansible_host: 192.0.2.9}
"""


def as_root(tmp_path: Path, hosts: str) -> dict[str, list[tuple[str, str]]]:
    """Interpreter and container of each host's proofs."""
    (tmp_path / "hosts.yml").write_text(SITE)
    options = Options(fabric.Config(), hosts=hosts, inventory=str(tmp_path))
    proofs, _ = verify.proofs(*load_site(options, ()), options, "")
    return {
        name: [(one.python, one.container) for one in found if isinstance(one, VerificationRun)]
        for name, found in proofs.items()
    }


def test_a_server_is_proved_where_its_prefect_is(tmp_path: Path) -> None:
    assert as_root(tmp_path, "servers") == {
        "vm1": [("/opt/prefect/default/bin/python", "")],
        "vm2": [("python", "prefect-server")],
    }


def test_a_host_without_prefect_proves_nothing(tmp_path: Path) -> None:
    assert list(as_root(tmp_path, "all")) == ["vm1", "vm2"]
    with pytest.raises(UsageError, match="db1: no server, worker or client among them"):
        as_root(tmp_path, "db1")


CLIENTS = """
    clients:
      hosts:
        laptop1: {}
        laptop2: {client_mode: local}
    workers:
      hosts:
        w1: {server: vm1, work_pool: etl}
"""


def left_out(tmp_path: Path, hosts: str) -> list[str]:
    """What is said of a verification of some hosts, or of all."""
    (tmp_path / "hosts.yml").write_text(SITE + CLIENTS)
    options = Options(fabric.Config(), hosts=hosts, inventory=str(tmp_path))
    site, selected = load_site(options, ("servers", "workers", "clients"))
    return list(verify.left_out(selected, *verify.proofs(site, selected, options, "vm1")))


def test_what_nobody_shows_is_said(tmp_path: Path) -> None:
    (local,) = left_out(tmp_path, "")
    assert local == "laptop2: with client_mode: local no flow run reaches a server"
    (services,) = left_out(tmp_path, "laptop1")
    assert services.startswith("schedules, events and automations: `fab -H SERVER verify`")
    assert left_out(tmp_path, "vm1") == []
