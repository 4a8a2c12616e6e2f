"""Workers as declared state: pools, queues and limits kept right; several workers a host; drained before a restart."""

from __future__ import annotations

import concurrent.futures
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from live import LiveLab

from tests.integration.looks import Fab, api, changed, counts, curl, succeeded

SERVER, WORKER, AGENT = "vm1", "vm2", "nft1"
HOME = "/var/lib/prefect/default-worker"
FLOWS = "/srv/flows"
PACKAGE = "cowsay==6.1"
TOKEN = "s3cret with spaces"
ETL = [f"prefect-worker-etl-{number}.service" for number in (1, 2)]
OTHER = "prefect-worker-other.service"

POOLS: dict[str, Any] = {
    "etl": {
        "concurrency_limit": 8,
        "description": "nightly loads",
        "queues": {"slow": {"priority": 3, "concurrency_limit": 2}, "urgent": {"priority": 1}},
    },
    "later": {"paused": True},
}
LIMITS: dict[str, Any] = {
    "concurrency_limits": {"database": 4},
    "global_concurrency_limits": {"some-api": {"limit": 10, "slot_decay_per_second": 0.5}},
}
ETL_WORKERS: dict[str, Any] = {
    "pool": "etl",
    "count": 2,
    "limit": 3,
    "packages": [PACKAGE],
    "environment": {"REGION": "eu-1", "TOKEN": {"env": "ENCAMP_TEST_TOKEN"}},
    "memory_max": "1G",
    "cpu_quota": "150%",
}

#: Flows that say what they see, and wait until they are let go.
CODE = f"""
import json, os, pathlib, time
from prefect import flow, runtime

@flow
def look():
    import cowsay
    seen = {{name: os.environ.get(name) for name in ("REGION", "TOKEN")}}
    pathlib.Path("{HOME}/seen.json").write_text(json.dumps(dict(seen, cowsay=cowsay.__version__)))

@flow
def wait(until="{HOME}/go"):
    while not os.path.exists(until):
        time.sleep(0.2)
"""


class Site:
    """A site whose workers a test changes."""

    def __init__(self, lab: LiveLab, folder: Path) -> None:
        self.lab, self.folder = lab, lab.site(folder, host_vars={SERVER: {"work_pools": POOLS, **LIMITS}})
        hosts = yaml.safe_load((folder / "hosts.yml").read_text("utf-8"))
        hosts["all"]["children"]["workers"] = {"hosts": {WORKER: {}}}
        (folder / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")
        self.declare([ETL_WORKERS, {"pool": "other", "stop_timeout": 4}])

    def declare(self, workers: list[dict[str, Any]], **more: Any) -> None:
        path = self.folder / "host_vars" / f"{WORKER}.yml"
        path.write_text(yaml.safe_dump({"workers": workers, **more}), "utf-8")

    def fab(self, *arguments: str) -> Fab:
        return self.lab.fab(*arguments, inventory=self.folder, env={"ENCAMP_TEST_TOKEN": TOKEN})

    def call(self, path: str, body: object = None) -> Any:
        """The API as the worker's host sees it; asked again where the server is too busy to answer."""
        found: list[Any] = []

        def answered() -> bool:
            found[:] = [api(self.lab, WORKER, f"http://{self.lab.address(SERVER)}:4200/api/{path}", body)]
            return not (isinstance(found[0], dict) and "exception_message" in found[0])

        until(answered, 30)
        return found[0]

    def send(self, method: str, path: str, body: object = None) -> None:
        url = f"http://{self.lab.address(SERVER)}:4200/api/{path}"
        data = ["-H", "Content-Type:application/json", "-d", f"'{json.dumps(body)}'"] if body is not None else []
        assert "detail" not in curl(self.lab, WORKER, url, "-X", method, *data)

    def start(self, flow: str, pool: str) -> str:
        """Have a worker of a pool run a flow. Returns the flow run's id."""
        step = {"prefect.deployments.steps.set_working_directory": {"directory": FLOWS}}
        body = {
            "name": f"{flow}-{pool}",
            "flow_id": self.call("flows/", {"name": flow})["id"],
            "work_pool_name": pool,
            "entrypoint": f"flows.py:{flow}",
            "pull_steps": [step],
        }
        deployment = self.call("deployments/", body)["id"]
        state = {"state": {"type": "SCHEDULED", "name": "Scheduled"}}
        return str(self.call(f"deployments/{deployment}/create_flow_run", state)["id"])

    def state(self, run: str) -> str:
        return str(self.call(f"flow_runs/{run}")["state_type"])

    def online(self, pool: str) -> set[str]:
        return {found["name"] for found in self.call(f"work_pools/{pool}/workers/filter", {}) if is_online(found)}


def is_online(worker: dict[str, Any]) -> bool:
    return bool(worker["status"] == "ONLINE")


def until(reached: Callable[[], object], seconds: float = 240) -> None:
    """Wait for a condition, and fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.3)


def show(lab: LiveLab, unit: str, *names: str) -> list[str]:
    """Properties of a unit as systemd has them in effect."""
    words = " ".join(f"-p {name}" for name in names)
    found = dict(line.split("=", 1) for line in lab.host(WORKER).check_output(f"systemctl show {words} {unit}").split())
    return [found[name] for name in names]


@pytest.fixture(scope="module")
def site(server: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site, before its workers are deployed."""
    server.up(WORKER)
    made = Site(server, tmp_path_factory.mktemp("workers"))
    subprocess.run(
        ["docker", "exec", "-i", server.lab.container(WORKER), "sh", "-c", f"mkdir -p {FLOWS}; cat > {FLOWS}/flows.py"],
        input=CODE.encode(),
        check=True,
    )
    return made


@pytest.fixture(scope="module")
def unlocked(site: Site) -> Fab:
    """The first try, without the lock that the workers' package needs; then the lock is made."""
    refused = site.fab("deploy")
    succeeded(site.fab("lock", "--prefect", "3.9.1", "--with", PACKAGE, "--inventory", str(site.folder)))
    return refused


@pytest.fixture(scope="module")
def first(site: Site, unlocked: Fab) -> Fab:
    """The deploy of everything."""
    return site.fab("deploy")


@pytest.fixture
def workers(site: Site, first: Fab) -> Site:
    succeeded(first)
    return site


def test_a_package_without_a_lock_is_refused_with_the_command(unlocked: Fab) -> None:
    assert unlocked.returncode == 4
    assert f"fab lock --prefect 3.9.1 --with '{PACKAGE}'" in unlocked.stdout + unlocked.stderr
    assert f"host_vars/{WORKER}.yml:" in unlocked.stdout + unlocked.stderr


def test_pools_queues_and_limits_are_as_declared(workers: Site) -> None:
    pool = workers.call("work_pools/etl")
    assert (pool["type"], pool["concurrency_limit"], pool["description"]) == ("process", 8, "nightly loads")
    assert workers.call("work_pools/later")["is_paused"] is True
    queues = {queue["name"]: queue for queue in workers.call("work_pools/etl/queues/filter", {})}
    assert (queues["urgent"]["priority"], queues["slow"]["priority"]) == (1, 3) and "default" in queues
    assert queues["slow"]["concurrency_limit"] == 2
    assert workers.call("concurrency_limits/tag/database")["concurrency_limit"] == 4
    limit = workers.call("v2/concurrency_limits/some-api")
    assert (limit["limit"], limit["slot_decay_per_second"], limit["active"]) == (10, 0.5, True)


def test_every_worker_is_online_under_a_name_of_its_own(workers: Site) -> None:
    assert workers.online("etl") == {f"{WORKER}-1", f"{WORKER}-2"}
    assert workers.online("other") == {WORKER}
    for unit in (*ETL, OTHER):
        service = workers.lab.host(WORKER).service(unit)
        assert service.is_running and service.is_enabled


def test_limits_of_memory_and_cpu_are_in_effect(workers: Site) -> None:
    for unit in ETL:
        memory, cpu = show(workers.lab, unit, "MemoryMax", "CPUQuotaPerSecUSec")
        assert memory == str(2**30) and float(cpu.rstrip("s")) == 1.5
    assert show(workers.lab, OTHER, "MemoryMax", "CPUQuotaPerSecUSec") == ["infinity", "infinity"]


def test_a_flow_run_gets_the_package_and_the_variables(workers: Site, first: Fab) -> None:
    run = workers.start("look", "etl")
    until(lambda: workers.state(run) in ("COMPLETED", "FAILED", "CRASHED"))
    assert workers.state(run) == "COMPLETED"
    host = workers.lab.host(WORKER)
    assert json.loads(host.file(f"{HOME}/seen.json").content) == {"REGION": "eu-1", "TOKEN": TOKEN, "cowsay": "6.1"}
    own = host.file("/etc/prefect/default/worker-etl.env")
    assert (own.mode, own.user, own.group) == (0o640, "root", "prefect-worker")
    assert TOKEN not in first.stdout and TOKEN not in host.check_output("systemctl show " + ETL[0])
    assert "cowsay" not in host.check_output("/opt/prefect/default/bin/python -c 'help(\"modules\")' 2>/dev/null | cat")


def test_a_second_deploy_changes_nothing(workers: Site) -> None:
    done = workers.fab("deploy")
    succeeded(done)
    assert [counts(done, name)["changed"] for name in (SERVER, WORKER)] == [0, 0]


def test_what_was_changed_by_hand_is_repaired(workers: Site) -> None:
    workers.send("PATCH", "work_pools/etl", {"concurrency_limit": 1, "description": "x"})
    workers.send("PATCH", "work_pools/later", {"is_paused": False})
    workers.send("PATCH", "work_pools/etl/queues/slow", {"priority": 1, "concurrency_limit": 9})
    workers.send("DELETE", "concurrency_limits/tag/database")
    workers.send("PATCH", "v2/concurrency_limits/some-api", {"limit": 1, "active": False})
    done = workers.fab("-H", SERVER, "deploy", "--no-verify")
    succeeded(done)
    assert changed(done) == {
        *("WorkPool:etl", "WorkPool:later", "WorkQueue:etl/urgent", "WorkQueue:etl/slow"),
        *("TagConcurrencyLimit:database", "GlobalConcurrencyLimit:some-api"),
    }
    assert "concurrency limit: 1 -> 8" in done.stdout and "paused: false -> true" in done.stdout
    test_pools_queues_and_limits_are_as_declared(workers)


def test_a_flow_run_ends_before_its_worker_is_restarted(workers: Site) -> None:
    run = workers.start("wait", "etl")
    until(lambda: workers.state(run) == "RUNNING")
    name = workers.call(f"flow_runs/{run}")["name"]
    before = {unit: show(workers.lab, unit, "MainPID") for unit in (*ETL, OTHER)}
    workers.declare([{**ETL_WORKERS, "environment": {"REGION": "eu-2"}}, {"pool": "other", "stop_timeout": 4}])
    events = workers.folder / "events.jsonl"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        deploy = pool.submit(workers.fab, "-H", WORKER, "deploy", "--no-verify", "--json", str(events))
        until(
            lambda: (
                deploy.done() or (events.exists() and "waits for its flow runs to finish" in events.read_text("utf-8"))
            )
        )
        workers.lab.host(WORKER).check_output(f"touch {HOME}/go")
        done = deploy.result()
    succeeded(done)
    assert f"waits for its flow runs to finish: {name} ({run})" in done.stdout
    assert workers.state(run) == "COMPLETED"
    after = {unit: show(workers.lab, unit, "MainPID") for unit in (*ETL, OTHER)}
    assert [unit for unit in before if before[unit] != after[unit]] == ETL
    assert counts(workers.fab("-H", WORKER, "deploy", "--no-verify"), WORKER)["changed"] == 0


def test_a_flow_run_that_does_not_end_in_time_is_named_and_marked(workers: Site) -> None:
    workers.lab.host(WORKER).check_output(f"rm {HOME}/go")
    run = workers.start("wait", "other")
    until(lambda: workers.state(run) == "RUNNING")
    name = workers.call(f"flow_runs/{run}")["name"]
    etl = {**ETL_WORKERS, "environment": {"REGION": "eu-2"}}
    workers.declare([etl, {"pool": "other", "stop_timeout": 4, "limit": 5}], worker_killed_runs="crash")
    # The new time-out is in effect when systemd has read the new file, so it is the old one's, which is the same.
    done = workers.fab("-H", WORKER, "deploy", "--no-verify")
    succeeded(done)
    assert f"{OTHER}: killed after 4 s: {name} ({run}): their state was set to Crashed" in done.stdout
    assert workers.state(run) == "CRASHED"
    assert workers.lab.host(WORKER).service(OTHER).is_running


def test_workers_declared_no_more_are_removed(workers: Site) -> None:
    workers.declare([{**ETL_WORKERS, "count": 1, "packages": [], "environment": {}}])
    done = workers.fab("-H", WORKER, "deploy", "--no-verify")
    succeeded(done)
    host = workers.lab.host(WORKER)
    units = host.check_output("cd /etc/systemd/system && ls prefect-*").split()
    assert units == ["prefect-worker-etl.service"]
    for unit in (*ETL, OTHER):
        assert f"{unit}: active -> removed" in done.stdout
        assert not host.file(f"/etc/systemd/system/multi-user.target.wants/{unit}").exists
    assert not host.file("/etc/prefect/default/worker-etl.env").exists
    assert not host.file("/opt/prefect/default-worker-etl").exists
    assert counts(workers.fab("-H", WORKER, "deploy", "--no-verify"), WORKER)["changed"] == 0


def test_a_worker_comes_back_when_the_api_was_away_at_boot(workers: Site) -> None:
    server = workers.lab.host(SERVER)
    server.check_output("systemctl stop prefect-server.socket")
    try:
        workers.lab.reboot(WORKER)
        unit = "prefect-worker-etl.service"
        until(lambda: "reach" in workers.lab.host(WORKER).run(f"journalctl -b -q -o cat -u {unit}").stdout)
    finally:
        server.check_output("systemctl start prefect-server")
    booted = workers.lab.host(WORKER).check_output("date -u -d @$(stat -c %Y /proc/1) +%FT%TZ")
    until(lambda: curl(workers.lab, WORKER, f"http://{workers.lab.address(SERVER)}:4200/api/health") == "true")

    def heard() -> bool:
        found = workers.call("work_pools/etl/workers/filter", {})
        return any(one["name"] == WORKER and is_online(one) and one["last_heartbeat_time"] > booted for one in found)

    until(heard)


def test_agents_of_prefect_2_complete_a_flow_run(lab: LiveLab, tmp_path: Path) -> None:
    """A server and agents of 2.7.12 on one host; the deploy proves them by a flow run that an agent completes."""
    agents = [{"queues": ["first", "second"], "count": 2, "limit": 2}]
    settings = {"prefect_version": "2.7.12", "database": "sqlite", "agents": agents}
    folder = lab.site(tmp_path, host_vars={AGENT: settings})
    hosts = yaml.safe_load((folder / "hosts.yml").read_text("utf-8"))
    hosts["all"]["children"]["servers"]["hosts"] = {AGENT: hosts["all"]["children"]["spare"]["hosts"].pop(AGENT)}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")
    lab.up(AGENT)
    done = lab.fab("deploy", inventory=folder)
    succeeded(done)
    assert re.search(r"flow run \S+, task run \S+, log line read back in .*\(agent default first\)", done.stdout)
    units = [f"prefect-agent-first-{number}.service" for number in (1, 2)]
    for unit in units:
        assert lab.host(AGENT).service(unit).is_running and lab.host(AGENT).service(unit).is_enabled
    queues = api(lab, AGENT, "http://127.0.0.1:4200/api/work_queues/filter", {})
    assert {queue["name"] for queue in queues} >= {"first", "second"}
    again = lab.fab("deploy", inventory=folder)
    succeeded(again)
    assert counts(again, AGENT)["changed"] == 0
