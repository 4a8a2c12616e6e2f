"""Workers: one beside the server, one on a host of its own; made in stage order and proven by runs that they took."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from live import LiveLab

from tests.integration.looks import Fab, api, changed, counts, psql, succeeded, traces

SERVER, OTHER = "vm1", "vm2"
UNIT = "prefect-worker-default.service"
USER = "prefect-worker"
HOME = "/var/lib/prefect/default-worker"
CHECKS = ("-H", f"{SERVER},{OTHER}")


def pool(lab: LiveLab, path: str = "", body: object = None) -> object:
    """The pool, or something below it, as the other host sees it through the API."""
    return api(lab, OTHER, f"http://{lab.address(SERVER)}:4200/api/work_pools/default{path}", body)


@pytest.fixture(scope="module")
def site(server: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose server polls a pool itself, and whose group workers has one more host."""
    folder = server.site(tmp_path_factory.mktemp("workers"), host_vars={SERVER: {"work_pool": "default"}})
    hosts = yaml.safe_load((folder / "hosts.yml").read_text("utf-8"))
    hosts["all"]["children"]["workers"] = {"hosts": {OTHER: {}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")
    return folder


@pytest.fixture(scope="module")
def first(server: LiveLab, site: Path) -> tuple[Fab, Path]:
    """What ``fab deploy`` of servers and workers did, and its events."""
    server.up(OTHER)
    events = site / "events.jsonl"
    return server.fab("deploy", "--json", str(events), inventory=site), events


@pytest.fixture
def workers(server: LiveLab, first: tuple[Fab, Path]) -> LiveLab:
    succeeded(first[0])
    return server


def test_one_deploy_makes_the_server_first_and_proves_every_worker(first: tuple[Fab, Path]) -> None:
    done, events = first
    succeeded(done)
    for host in (SERVER, OTHER):
        assert re.search(
            rf"{host}  note     flow run \S+, task run \S+, log line read back .*worker default", done.stdout
        )
    told = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    order = [event["host"] for event in told if event["event"] == "step"]
    assert OTHER not in order[: len(order) - order[::-1].index(SERVER)], "a worker began before the server was done"
    assert not re.search(rf"{OTHER}  changed  \w*(Postgres|prefect-server)", done.stdout)


@pytest.mark.parametrize("name", [SERVER, OTHER])
def test_a_worker_runs_as_a_user_of_its_own_and_starts_at_boot(workers: LiveLab, name: str) -> None:
    host = workers.host(name)
    assert host.service(UNIT).is_running and host.service(UNIT).is_enabled
    pid = host.check_output(f"systemctl show -p MainPID --value {UNIT}")
    assert host.check_output(f"ps -o user:32= -p {pid}").strip() == USER
    assert host.user(USER).shell.endswith("nologin") and host.user(USER).groups == [USER]
    assert "OK" in host.check_output(f"systemd-analyze security {UNIT} --no-pager | tail -1")


def test_a_worker_reaches_neither_the_database_nor_the_servers_files(workers: LiveLab) -> None:
    host = workers.host(SERVER)
    assert psql(workers, SERVER, "SELECT 1") == "1"
    own = host.run(f"runuser -u {USER} -- psql -XAt -d prefect -c 'SELECT 1'")
    assert own.rc != 0 and f'role "{USER}" does not exist' in own.stderr
    as_server = host.run(f"runuser -u {USER} -- psql -XAt -U prefect -d prefect -c 'SELECT 1'")
    assert as_server.rc != 0 and "Peer authentication failed" in as_server.stderr
    for command in (
        "cat /etc/prefect/default/server.env",
        "ls /var/lib/prefect/default",
        "touch /opt/prefect/default/x",
    ):
        assert "Permission denied" in host.run(f"runuser -u {USER} -- {command}").stderr, command


def test_both_hosts_work_for_one_pool(workers: LiveLab) -> None:
    found = pool(workers)
    assert isinstance(found, dict)
    assert (found["type"], found["concurrency_limit"], found["is_paused"]) == ("process", None, False)
    online = pool(workers, "/workers/filter", {})
    assert isinstance(online, list)
    assert {worker["name"] for worker in online if worker["status"] == "ONLINE"} == {SERVER, OTHER}


def test_a_second_deploy_changes_nothing_in_one_session_a_host(workers: LiveLab, site: Path) -> None:
    before = [workers.ssh_sessions(name) for name in (SERVER, OTHER)]
    done = workers.fab("deploy", inventory=site)
    succeeded(done)
    assert [counts(done, name)["changed"] for name in (SERVER, OTHER)] == [0, 0]
    assert [workers.ssh_sessions(name) for name in (SERVER, OTHER)] == [count + 1 for count in before]


def test_limits_are_applied_and_what_was_broken_is_repaired(workers: LiveLab, site: Path) -> None:
    host = workers.host(OTHER)
    limits = ("--set", "work_pool_concurrency=3", "--set", "worker_limit=2")
    done = workers.fab("-H", OTHER, "deploy", "--no-verify", *limits, inventory=site)
    succeeded(done)
    assert changed(done) == {"WorkPool:default", f"SystemdUnit:{UNIT}", f"WorkerRestart:{UNIT}"}
    assert "concurrency limit: none -> 3" in done.stdout
    found = pool(workers)
    assert isinstance(found, dict) and found["concurrency_limit"] == 3
    pid = host.check_output(f"systemctl show -p MainPID --value {UNIT}")
    assert "--limit 2" in host.check_output(f"ps -o args= -p {pid}")

    host.check_output(f"systemctl stop {UNIT}")
    host.check_output("echo PREFECT_API_URL=http://elsewhere:4200/api >> /etc/prefect/default/worker.env")
    done = workers.fab("-H", OTHER, "deploy", "--no-verify", inventory=site)
    succeeded(done)
    env = "File:/etc/prefect/default/worker.env"
    assert changed(done) == {"WorkPool:default", f"SystemdUnit:{UNIT}", env, f"WorkerService:{UNIT}"}
    assert host.service(UNIT).is_running


def test_verify_proves_each_worker_and_leaves_nothing(workers: LiveLab, site: Path) -> None:
    before = traces(workers, SERVER)
    done = workers.fab(*CHECKS, "verify", inventory=site)
    succeeded(done)
    for name in (SERVER, OTHER):
        assert re.search(rf"{name}  note     flow run .*\(worker default default\)", done.stdout)
        assert "encamp-proof" not in workers.host(name).check_output(f"ls -A {HOME}")
    assert traces(workers, SERVER) == before


def test_workers_wait_for_a_server_that_is_not_healthy(workers: LiveLab, site: Path) -> None:
    before = workers.ssh_sessions(OTHER)
    done = workers.fab("deploy", "--set", "port=5432", inventory=site)
    assert done.returncode == 2
    assert "port 5432 is already in use" in done.stdout and re.search(rf"{OTHER} .*not reached", done.stdout)
    assert workers.ssh_sessions(OTHER) == before


def test_a_worker_comes_back_after_a_reboot(workers: LiveLab) -> None:
    workers.reboot(OTHER)
    host = workers.host(OTHER)
    assert host.service(UNIT).is_running
    assert host.check_output(f"ps -u {USER} -o args=")
