"""A host without any network: everything comes from a bundle that another host collected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from live import LiveLab

from tests.integration.looks import Fab, counts, psql, succeeded

TARGET, BUILDER = "vm1", "vm2"
#: All that leaves this host is what answers the controller.
NOWHERE = """
table inet nowhere {
  chain output {
    type filter hook output priority 0; policy drop;
    oif lo accept
    tcp sport 22 ct state established accept
  }
}
"""


class Site:
    """One server with Postgres that reaches nothing, and its bundle."""

    def __init__(self, lab: LiveLab, folder: Path) -> None:
        self.lab, self.file = lab, folder.with_suffix(".bundle")
        self.folder = lab.site(folder, host_vars={TARGET: {"server_start_timeout": 600}})

    def fab(self, *words: str) -> Fab:
        return self.lab.fab(*words, inventory=self.folder)


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    lab.up(TARGET, BUILDER)
    lab.host(TARGET).check_output("printf %s | nft -f -", NOWHERE)
    return Site(lab, tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def bundled(site: Site) -> Fab:
    return site.fab("-H", BUILDER, "bundle", "--file", str(site.file))


@pytest.fixture(scope="module")
def deployed(site: Site, bundled: Fab) -> Fab:
    succeeded(bundled)
    return site.fab("-H", TARGET, "deploy", "--bundle", str(site.file))


def test_a_bundle_is_made_and_leaves_nothing_behind(site: Site, bundled: Fab) -> None:
    assert re.search(r"wrote \S+\.bundle: \d+ MB for debian 12 on \S+, Python 3\.11", succeeded(bundled))
    left = site.lab.host(BUILDER).run("ls /var/cache/encamp /opt/prefect; dpkg -l postgresql").stdout
    assert "bundle" not in left and "postgresql" not in left


def test_the_first_deploy_needs_no_network(site: Site, deployed: Fab) -> None:
    """Postgres, uv and Prefect; the deploy's own proof is a flow run that was read back."""
    assert re.search(r"flow run \S+, task run \S+, log line read back", succeeded(deployed))
    host = site.lab.host(TARGET)
    assert host.run("curl -sS --max-time 2 http://192.0.2.1").rc != 0
    assert int(psql(site.lab, TARGET, "SELECT count(*) FROM flow_run")) >= 1
    assert host.package("postgresql").is_installed


def test_a_second_deploy_transfers_nothing(site: Site, deployed: Fab) -> None:
    succeeded(deployed)
    done = site.fab("-H", TARGET, "deploy", "--bundle", str(site.file))
    succeeded(done)
    assert counts(done, TARGET)["changed"] == 0
    sent = re.search(rf"{TARGET}  ok=.* sent=([\d.]+) KiB", done.stdout)
    assert sent and float(sent[1]) < 20, done.stdout


def test_another_release_is_refused_before_any_change(site: Site, deployed: Fab) -> None:
    succeeded(deployed)
    host = site.lab.host(TARGET)
    host.check_output("cp /etc/os-release /tmp/kept && sed -i 's/^VERSION_ID=.*/VERSION_ID=\"13\"/' /etc/os-release")
    host.check_output("mv /var/lib/encamp/bundle /var/lib/encamp/kept")
    try:
        done = site.fab("-H", TARGET, "deploy", "--bundle", str(site.file))
    finally:
        host.check_output("cp /tmp/kept /etc/os-release && mv /var/lib/encamp/kept /var/lib/encamp/bundle")
    assert done.returncode == 2 and "the bundle is for debian 12" in done.stdout and "debian 13" in done.stdout
    assert counts(done, TARGET)["changed"] == 0
