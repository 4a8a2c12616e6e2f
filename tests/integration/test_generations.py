"""Five releases of Prefect on one host, each by its own names and commands; then the old ones are upgraded."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from live import LiveLab

from tests.integration.looks import Fab, api, changed, counts, curl, psql, snapshot, succeeded

HOST, NEWER = "vm2", "new1"
NEW = "3.9.1"
#: Instance: release, port, database, the name of its database setting, and what its unit runs.
OLD = {
    "first": ("2.0.4", 4201, "sqlite", "PREFECT_ORION_DATABASE_CONNECTION_URL", "prefect.orion.api.server"),
    "orion": ("2.7.12", 4202, "postgres", "PREFECT_ORION_DATABASE_CONNECTION_URL", "prefect.orion.api.server"),
    "two": ("2.20.26", 4203, "sqlite", "PREFECT_API_DATABASE_CONNECTION_URL", "prefect.server.api.server"),
    "three": ("3.8.8", 4204, "postgres", "PREFECT_SERVER_DATABASE_CONNECTION_URL", "/opt/prefect/serving.py"),
}
ALL = {**OLD, "default": (NEW, 4200, "sqlite", "PREFECT_SERVER_DATABASE_CONNECTION_URL", "/opt/prefect/serving.py")}
#: A flow as a user of any generation would write it.
FLOW = """
from prefect import flow, task

@task
def one():
    return 1

@flow(name="kept through upgrades")
def kept():
    return one()

kept()
"""
#: A connection that stays open, with part of a request, and what comes of the rest.
CONNECT = """
import socket, sys, time
port, head, rest, after, answer = sys.argv[1:]
with socket.create_connection(("127.0.0.1", int(port))) as server, open(answer, "wb") as file:
    server.sendall(head.encode())
    open(f"{answer}.open", "w").close()
    time.sleep(int(after))
    server.sendall(rest.encode())
    while received := server.recv(4096):
        file.write(received)
        file.flush()
"""
REQUEST = "\r\n".join(
    ("POST /api/flow_runs/filter HTTP/1.1", "Host: h", "Content-Type: application/json", "Content-Length: 2", "", "")
)


def connect(lab: LiveLab, port: int, head: str = "", *, then: str = "", after: int = 0, answer: str = "/tmp/a") -> None:
    """Open a connection on the host that lasts until the server closes it; ``then`` is sent ``after`` seconds."""
    host, words = lab.host(HOST), (str(port), head, then, str(after), answer)
    command = shlex.join(("timeout", "120", "python3", "-c", CONNECT, *words))
    host.run(f"rm -f {answer}.open; {command} >/dev/null 2>&1 &")
    host.check_output(f"timeout 60 sh -c 'until test -e {answer}.open; do sleep 0.1; done'")


def start(lab: LiveLab, instance: str) -> None:
    """Start a server that was stopped, and wait until it answers."""
    host, health = lab.host(HOST), f"http://127.0.0.1:{ALL[instance][1]}/api/health"
    host.check_output(f"systemctl start {unit(instance)}")
    host.check_output(f"timeout 240 sh -c 'until curl -sf {health}; do sleep 0.3; done'")


def unit(instance: str) -> str:
    return "prefect-server.service" if instance == "default" else f"prefect-server-{instance}.service"


def stopping(instance: str) -> str:
    """The unit to stop: a server of Prefect 3 is started again by who connects, unless its socket is stopped."""
    own_port = ALL[instance][4].startswith("prefect.")
    return unit(instance) if own_port else unit(instance).replace(".service", ".socket")


def url(lab: LiveLab, instance: str) -> str:
    return f"http://{lab.address(HOST)}:{ALL[instance][1]}"


def site_of(lab: LiveLab, folder: Path, **releases: str) -> Path:
    """A site whose host has an instance of each generation; ``releases`` replaces some."""
    instances = {
        name: {
            **{"prefect_version": releases.get(name, version), "port": port, "database": database},
            "public_url": url(lab, name),
        }
        for name, (version, port, database, _, _) in ALL.items()
    }
    if not releases:
        instances["two"]["python"] = "3.11"
    return lab.site(folder, host_vars={HOST: {"instances": instances}})


def runs(lab: LiveLab, instance: str) -> list[Any]:
    """The flow runs that a server knows, as another host sees them."""
    found = api(lab, "laptop1", f"{url(lab, instance)}/api/flow_runs/filter", {})
    assert isinstance(found, list), found
    return found


@pytest.fixture(scope="module")
def first(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Fab:
    """What the first deploy of all five did."""
    lab.up(HOST, "laptop1")
    return lab.fab("-H", HOST, "deploy", inventory=site_of(lab, tmp_path_factory.mktemp("generations")))


@pytest.fixture
def deployed(lab: LiveLab, first: Fab) -> LiveLab:
    succeeded(first)
    return lab


@pytest.fixture(scope="module")
def kept(lab: LiveLab, first: Fab) -> dict[str, str]:
    """A flow run on each old server, made by the client of its own release: ids by instance."""
    host, found = lab.host(HOST), {}
    host.run(f"cat > /tmp/kept.py << 'END'\n{FLOW}\nEND")
    for instance in OLD:
        environment = f"PREFECT_API_URL={url(lab, instance)}/api PREFECT_HOME=/tmp/client-{instance}"
        host.check_output(f"env {environment} /opt/prefect/{instance}/bin/python /tmp/kept.py")
        (run,) = [run for run in runs(lab, instance) if run["state_type"] == "COMPLETED"]
        found[instance] = run["id"]
    return found


def test_every_generation_is_deployed_and_proved_by_a_flow_run(first: Fab) -> None:
    succeeded(first)
    proved = re.findall(r"flow run \S+, task run \S+, log line read back in \S+ s \(server (\w+)\)", first.stdout)
    assert set(proved) == set(ALL)


def test_known_faults_are_told_once_with_thread_and_first_good_release(first: Fab) -> None:
    warnings = [line for line in first.stderr.splitlines() if line.startswith(f"warning: {HOST}: Prefect 2.")]
    assert len(warnings) == len(set(warnings)) == 2
    assert all("CVE-2024-8183" in line and "First good release: 2.20.17" in line for line in warnings)


def test_a_second_deploy_changes_nothing(deployed: LiveLab, first: Fab, tmp_path: Path) -> None:
    done = deployed.fab("-H", HOST, "deploy", inventory=site_of(deployed, tmp_path))
    succeeded(done)
    assert counts(done, HOST)["changed"] == 0


@pytest.mark.parametrize("instance", ALL)
def test_a_server_is_what_its_release_needs(deployed: LiveLab, instance: str) -> None:
    version, _, database, name, command = ALL[instance]
    host = deployed.host(HOST)
    assert api(deployed, "laptop1", f"{url(deployed, instance)}/api/admin/version") == version
    assert (
        api(deployed, "laptop1", f"{url(deployed, instance)}/ui-settings")["api_url"]
        == f"{url(deployed, instance)}/api"
    )
    assert "<script" in curl(deployed, "laptop1", f"{url(deployed, instance)}/", "-L")
    assert f"\n{name}=" in host.file(f"/etc/prefect/{instance}/server.env").content_string
    pid = host.check_output(f"systemctl show -p MainPID --value {unit(instance)}")
    line = host.check_output(f"tr '\\0' ' ' < /proc/{pid}/cmdline")
    assert command in line
    files = host.check_output(f"find /var/lib/prefect/{instance} -name '*.db'").split()
    assert files == ([f"/var/lib/prefect/{instance}/prefect.db"] if database == "sqlite" else [])


def test_the_releases_own_clients_run_flows_that_others_see(deployed: LiveLab, kept: dict[str, str]) -> None:
    for instance, run in kept.items():
        known = f"PREFECT_API_URL={url(deployed, instance)}/api COLUMNS=200"
        listed = deployed.host(HOST).check_output(f"env {known} /opt/prefect/{instance}/bin/prefect flow-run ls")
        assert run in listed and "kept through upgrades" in listed


@pytest.mark.parametrize("instance", OLD)
def test_a_restart_is_clean_and_needs_no_second_try(deployed: LiveLab, instance: str) -> None:
    """Prefect's own start command leaves the server running up to 2.7, and later refuses its port for a minute."""
    host = deployed.host(HOST)
    connect(deployed, ALL[instance][1])
    curl(deployed, "laptop1", f"{url(deployed, instance)}/api/health")
    host.check_output(f"systemctl stop {stopping(instance)}")
    assert host.check_output(f"systemctl show -p Result --value {unit(instance)}") == "success"
    assert not host.socket(f"tcp://0.0.0.0:{ALL[instance][1]}").is_listening
    start(deployed, instance)
    assert host.check_output(f"systemctl show -p NRestarts --value {unit(instance)}") == "0"


@pytest.mark.parametrize("instance", OLD)
def test_a_request_in_flight_is_answered_and_does_not_hang_the_stop(deployed: LiveLab, instance: str) -> None:
    """While the server waits for the request, its background services may end: up to 2.0.4 it then hung."""
    host, port, answer = deployed.host(HOST), ALL[instance][1], f"/tmp/answer-{instance}"
    connect(deployed, port, REQUEST, then="{}", after=5, answer=answer)
    host.check_output(f"systemctl stop {stopping(instance)}")
    assert host.check_output(f"systemctl show -p Result --value {unit(instance)}") == "success"
    assert host.file(answer).content_string.startswith("HTTP/1.1 200")
    start(deployed, instance)


def test_an_upgrade_to_3_keeps_every_run(deployed: LiveLab, kept: dict[str, str], tmp_path: Path) -> None:
    site = site_of(deployed, tmp_path, **dict.fromkeys(OLD, NEW))
    done = deployed.fab("-H", HOST, "deploy", inventory=site)
    succeeded(done)
    assert not [step for step in changed(done) if "prefect-server.service" in step], "the fourth server was touched"
    for instance, run in kept.items():
        assert api(deployed, "laptop1", f"{url(deployed, instance)}/api/admin/version") == NEW
        assert run in {found["id"] for found in runs(deployed, instance)}
        tasks = api(deployed, "laptop1", f"{url(deployed, instance)}/api/task_runs/filter", {})
        assert run in {task["flow_run_id"] for task in tasks}
    assert psql(deployed, HOST, "SELECT count(*) FROM flow_run", "prefect-orion") == "1"
    again = deployed.fab("-H", HOST, "deploy", inventory=site)
    assert counts(again, HOST)["changed"] == 0 and not again.stderr


def test_a_downgrade_onto_a_newer_database_says_so(deployed: LiveLab, kept: dict[str, str], tmp_path: Path) -> None:
    back = site_of(deployed, tmp_path / "back", orion=NEW, two=NEW)
    done = deployed.fab("-H", HOST, "deploy", "--instance", "first", inventory=back)
    assert done.returncode == 2, done.stdout
    assert "does not know the database's schema: a newer Prefect upgraded it" in done.stdout
    assert "Can't locate revision" in done.stdout and "deploy the newer release again" in done.stdout
    succeeded(
        deployed.fab("-H", HOST, "deploy", inventory=site_of(deployed, tmp_path / "on", **dict.fromkeys(OLD, NEW)))
    )
    assert kept["first"] in {found["id"] for found in runs(deployed, "first")}


def test_a_python_that_the_release_does_not_run_on_is_refused_with_the_fix(lab: LiveLab, tmp_path: Path) -> None:
    lab.up(NEWER)
    before = snapshot(lab, NEWER)
    site = lab.site(tmp_path / "a", host_vars={NEWER: {"prefect_version": "2.7.12", "database": "sqlite"}})
    done = lab.fab("-H", NEWER, "deploy", inventory=site)
    assert done.returncode == 2, done.stdout
    assert "this host has no Python >=3.7,<3.12" in done.stdout and "which uv installs" in done.stdout
    assert snapshot(lab, NEWER) == before
    site = lab.site(tmp_path / "b", host_vars={NEWER: {"prefect_version": "2.7.12", "python": "3.12"}})
    done = lab.fab("-H", NEWER, "deploy", inventory=site)
    assert done.returncode == 4 and "Prefect 2.7.12 does not run on Python 3.12" in done.stderr


def test_a_python_that_uv_cannot_bring_is_told_in_plain_words(lab: LiveLab, tmp_path: Path) -> None:
    values = {
        "prefect_version": "2.7.12",
        "database": "sqlite",
        "python": "3.11",
        "python_mirror": "http://127.0.0.1:9",
    }
    lab.up(NEWER)
    done = lab.fab("-H", NEWER, "deploy", inventory=lab.site(tmp_path, host_vars={NEWER: values}))
    assert done.returncode == 2, done.stdout
    assert "uv could not install Python 3.11 on this host" in done.stdout and "python_mirror:" in done.stdout
    assert not lab.host(NEWER).file("/etc/prefect").exists
