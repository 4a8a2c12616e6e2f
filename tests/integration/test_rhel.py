"""The RHEL family: real dnf, rpm and firewalld, and RHEL's places, on a host that poses as a Rocky 9.

Its programs are Debian's, in packages of the lab's own (tests/lab/images/files/rhel). What that cannot show is Rocky's
own packages and SELinux: ``make test-rhel IMAGE=...`` runs the same tests on a host made from an image of the family.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import LiveLab

from tests.integration.looks import Fab, api, changed, counts, psql, snapshot, succeeded

HOST = "rhel1"
REAL = bool(os.environ.get("ENCAMP_LAB_RHEL_IMAGE"))
posed = pytest.mark.skipif(REAL, reason="for the host that poses as one")
SERVER_UNIT = "prefect-server.service"
REPOSITORY = "/etc/yum.repos.d/lab.repo"
#: Stand-ins for a kernel with SELinux: what is to be labelled is recorded.
SELINUX = {
    "/usr/sbin/selinuxenabled": "#!/bin/sh\nexit 0\n",
    "/usr/sbin/restorecon": '#!/bin/sh\nexec >> /var/log/relabelled\n[ "$1" = -R ] && exec find "$2"\necho "$1"\n',
}
#: A package whose installation holds dnf's lock for a while.
SLOW = """Name: slow
Version: 1
Release: 1
Summary: It takes its time
License: none
BuildArch: noarch
AutoReqProv: no
%description
It takes its time.
%post
sleep 20
%files
"""


def url(lab: LiveLab) -> str:
    return f"http://{lab.address(HOST)}:4200"


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server with Postgres and a worker, on one host."""
    lab.up(HOST, "laptop1")
    settings = {"allowed_sources": [f"{lab.address('laptop1')}/32"], "server_start_timeout": 600}
    folder = lab.site(tmp_path_factory.mktemp("rhel"), host_vars={HOST: settings})
    worker = (
        f"all: {{children: {{workers: {{hosts: {{{HOST}: {{workers: [{{pool: default}}], server: {HOST}}}}}}}}}}}\n"
    )
    (folder / "workers.yml").write_text(worker, "utf-8")
    server = f"all: {{children: {{servers: {{hosts: {{{HOST}: }}}}}}}}\n"
    (folder / "servers.yml").write_text(server, "utf-8")
    return folder


@pytest.fixture(scope="module")
def first(lab: LiveLab, site: Path) -> Fab:
    """What the first deploy did, on a host that says it has SELinux."""
    if not REAL:
        for path, text in SELINUX.items():
            lab.host(HOST).check_output(f"cat > {path} << 'END'\n{text}END\nchmod 755 {path}")
    return lab.fab("-H", HOST, "deploy", inventory=site)


@pytest.fixture
def deployed(lab: LiveLab, first: Fab) -> LiveLab:
    succeeded(first)
    return lab


def test_server_database_and_worker_are_what_rhel_has(deployed: LiveLab, first: Fab) -> None:
    host = deployed.host(HOST)
    assert first.stdout.count("log line read back") >= 1
    assert "PostgresServer:postgres" in changed(first)
    assert host.check_output("rpm -q --qf '%{NAME}\n' postgresql-server git").split() == ["postgresql-server", "git"]
    assert psql(deployed, HOST, "SHOW data_directory") == "/var/lib/pgsql/data"
    assert "ident" in host.file("/var/lib/pgsql/data/pg_hba.conf").content_string
    for unit in ("postgresql", SERVER_UNIT, "prefect-worker-default"):
        assert host.check_output(f"systemctl is-active {unit}; systemctl is-enabled {unit}") == "active\nenabled"
    assert api(deployed, "laptop1", f"{url(deployed)}/api/admin/version"), "through firewalld"
    assert "4200" in host.check_output("firewall-cmd --permanent --list-all")


@posed
def test_what_is_written_is_labelled(deployed: LiveLab) -> None:
    """Systemd starts nothing below /opt that has not the label of programs."""
    host = deployed.host(HOST)
    labelled = set(host.check_output("sort -u /var/log/relabelled").splitlines())
    environment = host.check_output("readlink -f /opt/prefect/default")
    assert {f"{environment}/bin/prefect", f"{environment}/bin/python", "/opt/prefect/draining.py"} <= labelled
    written = "find /etc/prefect /etc/encamp /opt/prefect /opt/encamp /etc/systemd/system -newer /usr/sbin/restorecon"
    made_by_systemd = ("/etc/systemd/system/multi-user.target.wants", "/etc/systemd/system/sockets.target.wants")
    found = {path for path in host.check_output(written).splitlines() if not path.startswith(made_by_systemd)}
    compiled = {path for path in found if "__pycache__" in path}
    missing = found - compiled - labelled - {"/etc/systemd/system"}
    assert not missing, sorted(missing)[:20]
    assert {"/var/lib/prefect", "/var/lib/prefect/default"} <= labelled


def test_a_second_deploy_changes_nothing(deployed: LiveLab, site: Path) -> None:
    done = deployed.fab("-H", HOST, "deploy", inventory=site)
    succeeded(done)
    assert counts(done, HOST)["changed"] == 0
    told = succeeded(deployed.fab("-H", HOST, "doctor", inventory=site))
    assert "FAIL" not in told


def wants(lab: LiveLab, site: Path, package: str, *options: str) -> Fab:
    """A deploy whose worker wants one more package."""
    workers = f'workers=[{{"pool": "default", "system_packages": ["git", "{package}"]}}]'
    return lab.fab("-H", HOST, "deploy", "--no-verify", "--set", workers, *options, inventory=site)


def test_a_package_that_no_repository_has(deployed: LiveLab, site: Path) -> None:
    done = wants(deployed, site, "nosuch-package")
    assert done.returncode == 2
    assert "no configured package source has a package with that name" in done.stdout
    assert "No match for argument: nosuch-package" in done.stdout


@pytest.fixture
def repository(deployed: LiveLab) -> Iterator[LiveLab]:
    """The repository's file is put back."""
    host = deployed.host(HOST)
    host.check_output(f"cp {REPOSITORY} /root/lab.repo")
    yield deployed
    host.check_output(f"cp /root/lab.repo {REPOSITORY}; dnf -q clean all")


@posed
@pytest.mark.parametrize("skipped", [False, True])
def test_a_repository_out_of_reach_is_the_first_error(repository: LiveLab, site: Path, skipped: bool) -> None:
    """dnf may go on without it, and then says that there is no such package."""
    host = repository.host(HOST)
    host.check_output(
        f"sed -i s,^baseurl=.*,baseurl=http://mirror.invalid/x, {REPOSITORY}; "
        f"echo skip_if_unavailable={int(skipped)} >> {REPOSITORY}; dnf -q clean all"
    )
    done = wants(repository, site, "openssh-clients")
    assert done.returncode == 2
    assert "this host cannot resolve mirror.invalid" in done.stdout and "getent hosts mirror.invalid" in done.stdout


@posed
def test_dnf_that_is_busy_is_waited_for_and_named(repository: LiveLab, site: Path) -> None:
    host = repository.host(HOST)
    host.check_output(f"mkdir -p /root/slow && cat > /root/slow/slow.spec << 'END'\n{SLOW}END")
    host.check_output("rpmbuild -bb --define '_rpmdir /root/slow' --define '_topdir /tmp/slow' /root/slow/slow.spec")
    host.check_output("systemd-run --unit=upgrades dnf -y install /root/slow/noarch/slow-1-1.noarch.rpm")
    deadline = time.monotonic() + 60
    while host.run("test -e /var/lib/dnf/rpmdb_lock.pid").rc != 0:
        assert time.monotonic() < deadline, host.run("journalctl -u upgrades").stdout
        time.sleep(0.2)
    done = wants(repository, site, "openssh-clients")
    succeeded(done)
    assert "waiting for another package manager to finish: process " in done.stdout
    assert "upgrades.service" in done.stdout
    assert host.check_output("rpm -q slow openssh-clients").count("\n") == 1


def test_undeploy(deployed: LiveLab, site: Path) -> None:
    host = deployed.host(HOST)
    succeeded(deployed.fab("-H", HOST, "undeploy", inventory=site))
    assert not host.run("systemctl list-unit-files 'prefect-*' --no-legend --no-pager").stdout
    assert "4200" not in host.check_output("firewall-cmd --permanent --list-all")
    assert host.check_output("systemctl is-active postgresql") == "active", "the data is kept"


def test_refusals_change_nothing(deployed: LiveLab, site: Path) -> None:
    """RHEL has one cluster, and no bundle is made for it."""
    before = snapshot(deployed, HOST)
    done = deployed.fab("-H", HOST, "deploy", "--set", "postgres_cluster=other", inventory=site)
    assert done.returncode == 2 and not changed(done), done.stdout
    assert snapshot(deployed, HOST) == before
