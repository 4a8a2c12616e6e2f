"""Debian 11 and 13 in every role: server, database, worker and client on each, beside an owner's nftables.

Debian 12 is what all other files run on. What Debian 11 lacks is refused in plain words before anything is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import containers
import pytest
import yaml
from live import LiveLab

from tests.integration.looks import Fab, api, changed, counts, curl, psql, snapshot, succeeded
from tests.spread import Spread

OLD, NEW = "old2", "new2"
BOTH = (OLD, NEW)
#: The last release that runs on Debian 11's Python, 3.9.
RELEASES: Mapping[str, Mapping[str, Any]] = {OLD: {"prefect_version": "3.4.25"}, NEW: {"prefect_version": "3.9.1"}}
PYTHONS = {OLD: "3.9.", NEW: "3.13."}
POSTGRES = {OLD: "13.", NEW: "17."}
SERVER_UNIT, WORKER_UNIT = "prefect-server.service", "prefect-worker-default.service"
HOSTS = ("-H", ",".join(BOTH))


def laptop(host: str) -> str:
    """The inventory's name for the developer's account on a host."""
    return f"{host}-laptop"


def site_of(lab: LiveLab, folder: Path, groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Path:
    """A site of these groups: host to its settings. Releases are added."""
    path = lab.site(folder) / "hosts.yml"
    site = yaml.safe_load(path.read_text("utf-8"))
    site["all"]["children"] = {
        group: {"hosts": {name: {**RELEASES[name[:4]], **_where(lab, name), **own} for name, own in hosts.items()}}
        for group, hosts in groups.items()
    }
    path.write_text(yaml.safe_dump(site), "utf-8")
    return folder


def _where(lab: LiveLab, name: str) -> dict[str, Any]:
    return {"ansible_port": lab.port(name[:4]), **({"ansible_user": "dev"} if name != name[:4] else {})}


def url(lab: LiveLab, host: str, port: int = 4200) -> str:
    return f"http://{lab.address(host)}:{port}"


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each host is a server with Postgres, the server's worker, and by another account its client."""
    lab.up(*BOTH, "laptop1")
    groups = {
        "servers": {host: {"public_url": url(lab, host)} for host in BOTH},
        "workers": {host: {"server": host, "workers": [{"pool": "default"}]} for host in BOTH},
        "clients": {laptop(host): {"server": host} for host in BOTH},
    }
    return site_of(lab, tmp_path_factory.mktemp("debian"), groups)


@pytest.fixture(scope="module")
def first(lab: LiveLab, site: Path) -> Fab:
    """What the first deploy did, on fresh hosts."""
    return lab.fab(*HOSTS, "deploy", inventory=site)


@pytest.fixture
def deployed(lab: LiveLab, first: Fab) -> LiveLab:
    succeeded(first)
    return lab


@pytest.fixture
def longer(spread: Spread, deployed: LiveLab) -> LiveLab:
    """The same, for tests of `make sweep`."""
    if not spread.every:
        pytest.skip("with --every-step only")
    return deployed


def test_a_server_and_a_worker_are_proved_by_flow_runs_on_each(deployed: LiveLab, first: Fab) -> None:
    for host in BOTH:
        proofs = [line for line in first.stdout.splitlines() if line.startswith(host) and "log line read back" in line]
        assert len(proofs) == 2 and "(server default)" in proofs[0] and "(worker default default)" in proofs[1], proofs
        assert PYTHONS[host] in deployed.host(host).check_output("/opt/prefect/default/bin/python --version")
        assert psql(deployed, host, "SHOW server_version").startswith(POSTGRES[host])
        version = api(deployed, "laptop1", f"{url(deployed, host)}/api/admin/version")
        assert version == RELEASES[host]["prefect_version"], "through the owner's firewall"
        assert "9100" in deployed.host(host).check_output("nft list ruleset"), "the owner's rules are kept"


def test_a_second_deploy_changes_nothing(deployed: LiveLab, site: Path) -> None:
    done = deployed.fab(*HOSTS, "deploy", inventory=site)
    succeeded(done)
    assert [counts(done, host)["changed"] for host in BOTH] == [0, 0]


def test_clients_workers_and_the_doctor(deployed: LiveLab, site: Path) -> None:
    laptops = ",".join(map(laptop, BOTH))
    # A laptop has no root: what its Python lacks there, the deploy of its server has installed.
    succeeded(deployed.fab("-H", laptops, "configure-client", "--install", inventory=site))
    again = deployed.fab("-H", laptops, "configure-client", "--install", inventory=site)
    assert [counts(again, laptop(host))["changed"] for host in BOTH] == [0, 0], again.stdout
    proofs = succeeded(deployed.fab("verify", inventory=site)).count("log line read back")
    assert proofs == 4, "a client and a worker of each"
    told = succeeded(deployed.fab("doctor", inventory=site))
    assert "FAIL" not in told
    succeeded(deployed.fab("-H", laptops, "configure-client", "--undo", inventory=site))
    assert not deployed.host(OLD).file("/home/dev/.prefect/profiles.toml").exists


@pytest.mark.parametrize("host", BOTH)
def test_a_worker_stops_when_it_is_told_to(deployed: LiveLab, host: str) -> None:
    """Python 3.9.2 hangs when a worker says good-bye: until systemd's time-out, eleven minutes later."""
    where = deployed.host(host)
    where.check_output(f"timeout 60 systemctl stop {WORKER_UNIT}")
    assert where.check_output(f"systemctl show -p Result --value {WORKER_UNIT}") == "success"
    where.check_output(f"systemctl start {WORKER_UNIT}")


@pytest.mark.sweep
@pytest.mark.parametrize("host", BOTH)
def test_a_reboot_brings_all_back(longer: LiveLab, host: str, site: Path) -> None:
    longer.reboot(host)
    # A worker of 3.4.25 exits while the API is not up yet, and its unit starts it again.
    for ready in (f"curl -sf {url(longer, host)}/api/ready", f"systemctl is-active {WORKER_UNIT}"):
        longer.host(host).check_output(f"timeout 300 sh -c 'until {ready}; do sleep 1; done'")
    done = longer.fab("-H", host, "deploy", "--no-verify", inventory=site)
    assert counts(done, host)["changed"] == 0, done.stdout


def test_undeploy_leaves_nothing_running_and_keeps_the_data(deployed: LiveLab, site: Path) -> None:
    succeeded(deployed.fab(*HOSTS, "undeploy", inventory=site))
    for host in BOTH:
        where = deployed.host(host)
        assert not where.run("systemctl list-unit-files 'prefect-*' --no-legend --no-pager").stdout
        assert "4200" not in where.check_output("nft list ruleset")
        assert psql(deployed, host, "SELECT count(*) FROM alembic_version") == "1"
    again = deployed.fab(*HOSTS, "undeploy", inventory=site)
    assert [counts(again, host)["changed"] for host in BOTH] == [0, 0], again.stdout


def test_what_debian_11_lacks_is_refused_before_any_change(deployed: LiveLab, tmp_path: Path) -> None:
    """No Python for the default release, no package of Caddy, and a Compose that is too old."""
    before = snapshot(deployed, OLD)
    newest = {"prefect_version": "3.9.1", "public_url": url(deployed, OLD)}
    done = deployed.fab("-H", OLD, "deploy", inventory=site_of(deployed, tmp_path / "a", {"servers": {OLD: newest}}))
    assert done.returncode == 2 and not changed(done)
    assert "this host has no Python >=3.11" in done.stdout and "Prefect 3.4.25 on Python 3.9" in done.stdout
    https = {"tls": "internal", "public_url": f"https://{deployed.address(OLD)}"}
    done = deployed.fab("-H", OLD, "deploy", inventory=site_of(deployed, tmp_path / "b", {"servers": {OLD: https}}))
    assert done.returncode == 2 and not changed(done)
    assert "has no Caddy package, which tls: needs" in done.stdout
    stack = {"runtime": "compose", "prefect_version": "3.9.1", "public_url": url(deployed, OLD)}
    done = deployed.fab("-H", OLD, "deploy", inventory=site_of(deployed, tmp_path / "c", {"servers": {OLD: stack}}))
    assert done.returncode == 2 and not changed(done)
    assert "has Docker Compose 1.25, which cannot read the stack" in done.stdout
    assert snapshot(deployed, OLD) == before


# -- with --every-step -------------------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_sqlite_and_https_on_debian_13(longer: LiveLab, tmp_path: Path) -> None:
    address = f"https://{longer.address(NEW)}"
    servers = {NEW: {"database": "sqlite", "tls": "internal", "public_url": address}}
    site = site_of(longer, tmp_path, {"servers": servers, "clients": {laptop(NEW): {"server": NEW}}})
    succeeded(longer.fab("-H", NEW, "deploy", inventory=site))
    succeeded(longer.fab("-H", laptop(NEW), "configure-client", "--install", inventory=site))
    assert "log line read back" in succeeded(longer.fab("-H", laptop(NEW), "verify", inventory=site))
    assert "<script" in curl(longer, "laptop1", f"{address}/", "-Lk")
    assert counts(longer.fab("-H", NEW, "deploy", inventory=site), NEW)["changed"] == 0
    succeeded(longer.fab("-H", laptop(NEW), "configure-client", "--undo", inventory=site))
    succeeded(longer.fab("-H", NEW, "undeploy", inventory=site))


@pytest.mark.sweep
def test_sqlite_on_debian_11(longer: LiveLab, tmp_path: Path) -> None:
    site = site_of(longer, tmp_path, {"servers": {OLD: {"database": "sqlite", "public_url": url(longer, OLD)}}})
    succeeded(longer.fab("-H", OLD, "deploy", inventory=site))
    assert counts(longer.fab("-H", OLD, "deploy", inventory=site), OLD)["changed"] == 0
    succeeded(longer.fab("-H", OLD, "undeploy", inventory=site))


@pytest.mark.sweep
@pytest.mark.parametrize(("server", "keeper"), [(NEW, OLD), (OLD, NEW)])
def test_a_database_on_the_other_release(longer: LiveLab, server: str, keeper: str, tmp_path: Path) -> None:
    """Prefect 3.9.1 with Postgres 13, and Prefect 3.4.25 with Postgres 17."""
    own = {"database_host": keeper, "database_client_address": longer.address(server), "database_name": "far"}
    groups = {
        "databases": {keeper: {"postgres_address": longer.address(keeper)}},
        "servers": {server: {**own, "public_url": url(longer, server)}},
    }
    site = site_of(longer, tmp_path, groups)
    assert "(server default)" in succeeded(longer.fab(*HOSTS, "deploy", inventory=site))
    assert psql(longer, keeper, "SELECT count(*) FROM alembic_version", "far") == "1"
    done = longer.fab(*HOSTS, "deploy", inventory=site)
    assert [counts(done, host)["changed"] for host in BOTH] == [0, 0], done.stdout
    succeeded(longer.fab(*HOSTS, "undeploy", inventory=site))


@pytest.mark.sweep
def test_compose_on_debian_13(longer: LiveLab, tmp_path: Path) -> None:
    """Docker 26 with Compose 2."""
    host = NEW
    images = containers.ensure()
    own = {
        "runtime": "compose",
        "prefect_image": images.prefect,
        "postgres_image": images.postgres,
        "image_archive": str(images.archive),
        "prefect_version": "3.9.1",
        "public_url": url(longer, host),
    }
    site = site_of(longer, tmp_path, {"servers": {host: own}})
    succeeded(longer.fab("-H", host, "deploy", inventory=site))
    assert api(longer, "laptop1", f"{url(longer, host)}/api/admin/version") == "3.9.1"
    assert counts(longer.fab("-H", host, "deploy", inventory=site), host)["changed"] == 0
    succeeded(longer.fab("-H", host, "undeploy", inventory=site))
