"""What fab restart, stop and start do on which host, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.commands.operate.power import DOWNWARDS, UPWARDS, prepare
from encamp.errors import UsageError
from encamp.inventory.load import load_inventory
from encamp.site import Site
from roles import power
from roles.power import Choice
from roles.prefect import unit_words

SITE = """\
all:
  children:
    servers:
      hosts:
        vm1: {ansible_host: 192.0.2.1, work_pool: own, instances: {default: {}, test: {port: 4300, work_pool: ''}}}
    workers:
      hosts:
        w1: {ansible_host: 192.0.2.2, server: vm1/default, workers: [{pool: etl, count: 2}]}
"""


def steps(tmp_path: Path, command: str, choice: Choice) -> list[tuple[str, list[str]]]:
    """The sessions in their order, each a host and the ids of its steps."""
    (tmp_path / "hosts.yml").write_text(SITE)
    site = Site(load_inventory(tmp_path), [])
    order = DOWNWARDS if command == "stop" else UPWARDS
    prepared = prepare(site, [site.host("vm1"), site.host("w1")], getattr(power, command), order, choice)
    return [(name, list(plan.labels)) for (name, _), plan in prepared.sessions]


def test_a_stop_begins_with_the_workers_and_a_start_with_the_servers(tmp_path: Path) -> None:
    stopped = [
        ("vm1", ["WorkerStopped:prefect-worker-own.service"]),
        ("w1", [f"WorkerStopped:prefect-worker-etl-{number}.service" for number in (1, 2)]),
        ("vm1", ["UnitStopped:prefect-server.service", "UnitStopped:prefect-server-test.service"]),
    ]
    assert steps(tmp_path, "stop", Choice()) == stopped
    started = steps(tmp_path, "start", Choice())
    assert [name for name, _ in started] == ["vm1", "w1"], "a host that stands alone goes through in one session"
    assert started[0][1][:9] == [
        "DoorOpen:prefect-server.service",
        "DoorOpen:prefect-server-test.service",
        "UnitStarted:prefect-server.service",
        "ServerHealth:http://127.0.0.1:4200",
        "SystemdProbe:prefect-server.service",
        "UnitStarted:prefect-server-test.service",
        "ServerHealth:http://127.0.0.1:4300",
        "SystemdProbe:prefect-server-test.service",
        "UnitStarted:prefect-worker-own.service",
    ]
    assert started[1][1][:2] == [f"UnitStarted:prefect-worker-etl-{number}.service" for number in (1, 2)]
    assert "WorkerOnline:etl/w1-1" in started[1][1]


def test_a_restart_waits_until_the_workers_have_drained(tmp_path: Path) -> None:
    ((_, found),) = steps(tmp_path, "restart", Choice(only=unit_words.patterns(["worker-etl-1"])))
    assert found[:2] == ["WorkerRestarted:prefect-worker-etl-1.service", "WorkerDrain:prefect-worker-etl-1.service"]


@pytest.mark.parametrize(
    ("only", "instance", "hosts"),
    [
        (["server"], "", ["vm1"]),
        (["worker"], "", ["vm1", "w1"]),
        (["prefect-server-test.service"], "", ["vm1"]),
        ([], "test", ["vm1"]),
        (["worker-e*"], "", ["w1"]),
    ],
)
def test_only_what_is_meant_is_touched(tmp_path: Path, only: list[str], instance: str, hosts: list[str]) -> None:
    found = steps(tmp_path, "stop", Choice(unit_words.patterns(only), instance))
    assert [name for name, _ in found] == hosts


def test_what_means_no_unit_is_told_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        steps(tmp_path, "stop", Choice(("nosuch",)))
    assert "server, server-test, worker-own, worker-etl-1, worker-etl-2" in told.value.fix
