"""What a deploy says of the addresses that it tried from this machine; test_proxies tries real ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from encamp.commands import from_here
from encamp.commands.from_here import Proof, Proofs
from encamp.inventory.load import load_inventory
from encamp.site import Site
from roles.doctor.from_here import Seen
from roles.doctor.kinds.findings import fail
from roles.network import address
from tests.checkout import CHECKOUT

URL = "http://vm1:4200/api"
REFUSED, TYPE = fail("4200 refuses connections"), fail("the script has the type text/plain", "a proxy", "let it pass")


@pytest.mark.parametrize(
    ("proof", "code", "text"),
    [
        (Proof(Seen(URL, "well"), ()), 0, f"{URL} responds to this machine: API, WebSockets, UI"),
        (Proof(Seen(URL, "near"), ()), 0, "was not proven from another host; this machine cannot: it is the server"),
        (Proof(Seen(URL, "not reached", REFUSED), ()), 0, "this machine cannot: 4200 refuses connections\n"),
        (Proof(Seen(URL, "not reached", REFUSED), ("vm2",)), 0, f"{URL} responds to workers (vm2), but was not tried"),
        (Proof(Seen(URL, "wrong", TYPE), ("vm2",)), 2, f"FAILED  {URL}, as this machine sees it: the script has"),
    ],
)
def test_each_end_has_its_line(proof: Proof, code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    proofs = Proofs((proof,))
    assert proofs.exit_code == code
    proofs.report()
    assert text in capsys.readouterr().out


def test_a_deploy_that_changes_nothing_needs_none_of_it() -> None:
    program = (
        "import sys; from encamp.commands.deploy import deploy; "
        "print([name for name in sys.modules if name.startswith(('roles.doctor', 'encamp.commands.from_here'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SITE = """
all:
  children:
    servers:
      hosts:
        vm1: {ansible_host: 192.0.2.1, server: vm1, work_pool: etl}
        vm2: {ansible_host: 192.0.2.2}
    workers:
      hosts:
        w1: {server: vm2, work_pool: etl}
"""


@pytest.mark.parametrize(
    ("verified", "elsewhere", "tried"),
    [
        (["vm1", "vm2"], [], ["http://192.0.2.1:4200/api", "http://192.0.2.2:4200/api"]),
        (["vm1", "vm2", "w1"], [], ["http://192.0.2.1:4200/api"]),
        (["vm1", "vm2"], ["http://192.0.2.1:4200/api"], ["http://192.0.2.2:4200/api"]),
        (["w1"], [], []),
    ],
)
def test_a_verification_from_a_servers_own_host_is_completed_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verified: list[str], elsewhere: list[str], tried: list[str]
) -> None:
    (tmp_path / "hosts.yml").write_text(SITE)
    site = Site(load_inventory(tmp_path), [])
    monkeypatch.setattr(from_here, "look", lambda server, site: Seen(address.api_url(server), "well"))
    hosts = [site.host(name) for name in verified]
    seen = from_here.verified_at_home(site, hosts, elsewhere, "")
    assert [proof.seen.url for proof in seen.all] == tried
