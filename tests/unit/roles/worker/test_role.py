"""Declared workers and agents: what they become, and what is refused before any host is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from encamp.errors import EncampError
from encamp.resources.base import Change
from encamp.resources.files.file import File
from encamp.resources.system import HttpAnswer, Stat
from encamp.resources.systemd.unit import SystemdUnit
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import Api
from roles.worker.kinds import runs as worker_runs
from roles.worker.kinds.pool import WorkPool
from roles.worker.kinds.stale import StaleWorkers
from tests.unit.roles.test_stages import planned

BASE = "ansible_host: 192.0.2.7, database: sqlite"


def plan_of(tmp_path: Path, text: str) -> Any:
    return planned(tmp_path, {"vm1": f"{{{BASE}, {text}}}"})[1]


def units_of(plan: Any) -> dict[str, str]:
    found = {step.resource.name: step.resource.content for step in plan.steps if isinstance(step.resource, SystemdUnit)}
    return {name: text for name, text in found.items() if not name.startswith(("prefect-server", "prefect-door"))}


def commands(plan: Any) -> list[str]:
    lines = [line for text in units_of(plan).values() for line in text.splitlines()]
    return [line.partition("draining.py ")[2] for line in lines if line.startswith("ExecStart=")]


def test_several_workers_each_with_a_name_of_its_own(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "workers: [{pool: etl, count: 2, limit: 3}, {pool: etl, name: gpu, queues: [a, b]}]")
    assert list(units_of(plan)) == [f"prefect-worker-etl-{n}.service" for n in (1, 2)] + ["prefect-worker-gpu.service"]
    start = "worker start --pool etl --type process --name"
    assert commands(plan) == [
        *(f"{start} vm1-1 --limit 3", f"{start} vm1-2 --limit 3"),
        f"{start} vm1-gpu --work-queue a --work-queue b",
    ]


def test_agents_of_the_second_generation(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "prefect_version: '2.7.12', agents: [{queues: [a, b], count: 2, limit: 4}]")
    assert list(units_of(plan)) == [f"prefect-agent-a-{number}.service" for number in (1, 2)]
    assert commands(plan) == ["agent start --hide-welcome --work-queue a --work-queue b --limit 4"] * 2
    assert {step.resource.id for step in plan.steps} >= {"WorkQueue:agents/a", "WorkQueue:agents/b"}


def test_an_agents_pool_is_made_where_nobody_declares_it(tmp_path: Path) -> None:
    def pools(text: str) -> list[tuple[str, str, bool]]:
        plan = plan_of(tmp_path, f"prefect_version: '2.20.26', {text}")
        found = [step.resource for step in plan.steps if isinstance(step.resource, WorkPool)]
        return [(pool.name, pool.type, pool.any_type) for pool in found]

    assert pools("agents: [{pool: etl}, {pool: etl, name: b, queues: [b]}]") == [("etl", "prefect-agent", True)]
    assert pools("agents: [{pool: etl}], work_pools: {etl: {}}") == [("etl", "process", False)]
    assert pools("agents: [{pool: etl}], workers: [{pool: etl}]") == [("etl", "process", False)]
    assert pools("agents: [{queues: [a]}]") == []


@pytest.mark.parametrize(
    ("server", "worker"),
    [("2.20.26", "3.8.8"), ("2.0.4", "2.7.12"), ("2.6.0", "2.7.12"), ("3.1.4", "3.8.8"), ("3.6.13", "3.8.8")],
)
def test_a_worker_that_its_server_turns_away_is_refused(tmp_path: Path, server: str, worker: str) -> None:
    runner = "agents: [{}]" if worker.startswith("2") else "work_pool: a"
    hosts = {
        "w1": f"{{ansible_host: 192.0.2.8, prefect_version: '{worker}', server: vm1, {runner}}}",
        "vm1": f"{{ansible_host: 192.0.2.7, prefect_version: '{server}'}}",
    }
    with pytest.raises(EncampError, match=f"Prefect {worker} is incompatible with vm1, which runs {server}") as caught:
        planned(tmp_path, hosts)
    assert f"prefect_version: '{server}' for w1" in caught.value.fix and caught.value.where is not None


def test_a_worker_may_be_older_than_its_server(tmp_path: Path) -> None:
    worker = "{ansible_host: 192.0.2.8, prefect_version: '2.20.26', server: vm1, work_pool: a}"
    planned(tmp_path, {"w1": worker, "vm1": "{ansible_host: 192.0.2.7}"})


def test_instances_that_would_be_one_worker_to_a_server_are_refused(tmp_path: Path) -> None:
    instances = "instances: {default: {}, b: {port: 4202}}"
    with pytest.raises(EncampError, match=r"both define the worker vm1 in the pool etl of vm1 \(b\)") as caught:
        plan_of(tmp_path, f"server: vm1/b, {instances}, work_pool: etl")
    assert "name:" in caught.value.fix and caught.value.where is not None
    plan_of(tmp_path, f"{instances}, work_pool: etl")


def test_variables_of_one_worker_stay_out_of_its_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIDDEN", "s3cret")
    plan = plan_of(tmp_path, "workers: [{pool: etl, environment: {A: '1', B: {env: HIDDEN}}, memory_max: 2G}, {}]")
    files = {step.resource.path: step.resource for step in plan.steps if isinstance(step.resource, File)}
    own = files["/etc/prefect/default/worker-etl.env"]
    assert isinstance(own.content, Secret) and own.content.reveal().endswith("A=1\nB=s3cret\n") and own.mode == 0o640
    texts = units_of(plan)
    assert "s3cret" not in str(texts) and "worker-etl.env" not in texts["prefect-worker-default.service"]
    assert "MemoryMax=2G\n" in texts["prefect-worker-etl.service"]


@pytest.mark.parametrize(
    ("text", "reason", "fix"),
    [
        ("agents: [{queues: [q]}]", "Prefect 3.9.1 has no agents", "workers: [{pool: default, count: 1}]"),
        ("prefect_version: '2.7.12', workers: [{pool: etl}]", "2.7.12 has no workers", "agents: [{queues: [default]}]"),
        ("prefect_version: '2.0.4', agents: [{queues: [a, b]}]", "agent queues", "2.1"),
        ("workers: [{pool: etl}, {pool: etl}]", "two entries define the unit prefect-worker-etl.service", "name:"),
        ("workers: [{name: x, pool: a}, {name: x, pool: b}]", "two entries define the unit prefect-worker-x", "name:"),
        ("workers: [{pool: my pool}]", "'my pool' cannot be used in a unit name", "name:"),
        (
            "work_pool: my pool",
            "hosts.yml:5: vm1: 'my pool' cannot be used in a unit name",
            "workers: [{pool: my pool, name:",
        ),
        ("work_pool: a/b", "'a/b' is not a valid name", ""),
        ("workers: [{pool: prefect-x}]", "reserved by Prefect", ""),
        ("prefect_version: '2.20.26', agents: [{pool: a%b}]", "'a%b' is not a valid name", ""),
        ("workers: [{pool: etl}], work_pool: etl", "both set", ""),
        ("workers: [{pool: k, type: kubernetes}]", r"packages: \[prefect-kubernetes\]", ""),
        ("workers: [{packages: ['s3fs==1']}]", "no lock for Prefect 3.9.1 with s3fs==1", "--with 's3fs==1'"),
        ("workers: [{packages: ['-r x']}]", "not a package of an index", ""),
        ("workers: [{environment: {PREFECT_API_URL: x}}]", "set by encamp itself", ""),
        (
            "workers: [{environment: {A: b, GITHUB_TOKEN: s3cret}}]",
            r"hosts\.yml:5: workers\[0\]\.environment\.GITHUB_TOKEN must not be in the inventory as plain text",
            "{env: NAME}",
        ),
        ("workers: [{environment: {X: 'redis://u:s3cret@h/0'}}]", r"X must not be in the inventory as plain text", ""),
        ("agents: [{environment: {PW_SECRET: s3cret}}]", "as plain text", ""),
        ("index_url: 'https://u:s3cret@pypi.example.com/simple'", "index_url must not be in the inventory as", "env"),
        ("server_environment: {PREFECT_SERVER_ENCRYPTION_KEY: s3cret}", "ENCRYPTION_KEY must not be in the", "env"),
        ("workers: [{memory_max: lots}]", "must be a number of bytes", ""),
        ("concurrency_limits: {db: -1}", "db must be 0 or more", "example"),
        ("workers: [{environment: {X: 5}}]", "X must be a text in quotes or a secret's source", "write"),
        ("workers: [{cpu_quota: '2'}]", "percentage", ""),
        ("work_pools: {etl: {type: docker}}, workers: [{pool: etl}]", "cannot poll etl, a pool of type docker", ""),
        ("work_pools: {etl: {}}, work_pool: etl, work_pool_concurrency: 2", "is declared in work_pools of vm1", ""),
        ("work_pools: {prefect-x: {}}", "reserved by Prefect", ""),
        ("work_pools: {etl: {queues: {a: {priority: 1}, b: {priority: 1}}}}", "two queues have priority 1", ""),
        ("work_pools: {etl: {base_job_template: none.json}}", "none.json: No such file", ""),
        ("prefect_version: '2.7.12', work_pools: {etl: {}}", "2.7.12 has no work pools", "2.8"),
        ("prefect_version: '2.7.12', global_concurrency_limits: {a: {limit: 1}}", "no global concurrency", ""),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, reason: str, fix: str) -> None:
    with pytest.raises(EncampError, match=reason) as caught:
        plan_of(tmp_path, text)
    assert fix in caught.value.fix and "s3cret" not in f"{caught.value} {caught.value.fix}"


class OneHost:
    """Files and processes of a host, and what its API says."""

    def __init__(self, files: dict[str, bytes], answer: HttpAnswer) -> None:
        self.files, self.answer = files, answer
        self.notes: list[str] = []

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def stat(self, path: str) -> Stat | None:
        text = self.files.get(path)
        return None if text is None else Stat("file", 0o644, "root", "root", len(text), 0.0)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def listdir(self, path: str) -> list[str]:
        inside = (file[len(path) + 1 :] for file in self.files if file.startswith(f"{path}/"))
        return sorted({name.partition("/")[0] for name in inside})

    def http(self, *arguments: Any) -> HttpAnswer:
        return self.answer

    def once(self, key: str, read: Any) -> Any:
        return read()

    def query(self, argv: Sequence[str], **more: Any) -> Any:
        from encamp.resources.system import Result

        return Result(tuple(argv), 0, "LoadState=loaded\nActiveState=active\n", "")


RUN = "ad63af63-407e-4623-a445-42913c8f7397"
UNIT = "prefect-worker-etl.service"
PROCESSES = {
    "/proc/10/cgroup": f"0::/docker/x/system.slice/{UNIT}\n".encode(),
    "/proc/10/environ": b"A=b\0PREFECT__FLOW_RUN_ID=" + RUN.replace("-", "").encode() + b"\0",
    "/proc/11/cgroup": f"0::/system.slice/{UNIT}\n".encode(),
    "/proc/11/environ": b"A=b\0",
    "/proc/12/cgroup": b"0::/system.slice/prefect-worker-etl-1.service\n",
    "/proc/12/environ": b"PREFECT__FLOW_RUN_ID=" + b"0" * 32 + b"\0",
    "/proc/self/cgroup": b"",
}


def test_flow_runs_are_found_by_the_unit_of_their_processes() -> None:
    host: Any = OneHost(PROCESSES, HttpAnswer(200, f'[{{"id": "{RUN}", "name": "daffy-ara"}}]'.encode()))
    assert worker_runs.running(host, UNIT) == [RUN]
    assert worker_runs.listed(worker_runs.named(host, Api("http://h/api"), [RUN])) == f"daffy-ara ({RUN})"


def test_flow_runs_are_named_by_their_ids_when_the_server_is_away() -> None:
    host: Any = OneHost(PROCESSES, HttpAnswer(0, error="Connection refused"))
    assert worker_runs.listed(worker_runs.named(host, Api("http://h/api"), [RUN])) == RUN


def test_only_our_own_units_of_that_instance_are_surplus() -> None:
    ours = b"# Managed by encamp: x\n[Service]\nUser=etl\nEnvironmentFile=/etc/prefect/default/worker.env\n"
    folder = "/etc/systemd/system"
    files = {
        f"{folder}/prefect-worker-old.service": ours,
        f"{folder}/prefect-worker-kept.service": ours,
        f"{folder}/prefect-worker-lite-x.service": ours.replace(b"default", b"lite"),
        f"{folder}/prefect-worker-theirs.service": b"[Service]\nEnvironmentFile=/etc/prefect/default/worker.env\n",
        f"{folder}/prefect-worker-old.service.d/memory.conf": b"[Service]\nMemoryMax=1G\n",
        f"{folder}/prefect-worker-kept.service.d/memory.conf": b"[Service]\nMemoryMax=1G\n",
        "/etc/prefect/default/worker.env": b"",
        "/etc/prefect/default/worker-old.env": b"",
        "/etc/prefect/default/worker-notes.txt": b"mine",
    }
    surplus = StaleWorkers(
        "default",
        "/etc/prefect/default/worker.env",
        keep=("prefect-worker-kept.service",),
        prefixes=("/etc/prefect/default/worker-",),
    )
    host: Any = OneHost(files, HttpAnswer(200, b"[]"))
    assert surplus.check(host) == [
        Change("prefect-worker-old.service", "active", "removed"),
        Change("/etc/prefect/default/worker-old.env", "present", "removed"),
    ]
    assert host.notes == [f"kept, encamp did not write them: {folder}/prefect-worker-old.service.d/memory.conf"]


def test_an_unclear_server_and_two_forms_of_workers_name_their_lines(tmp_path: Path) -> None:
    with pytest.raises(EncampError) as both:
        plan_of(tmp_path, "workers: [{pool: etl}], work_pool: etl")
    with pytest.raises(EncampError) as unclear:
        planned(tmp_path, {"vm1": f"{{{BASE}, work_pool: a}}", "vm2": "ansible_host: 192.0.2.8"})
    for error, key in ((both, "workers"), (unclear, "work_pool")):
        assert error.value.where and error.value.where.line, key
