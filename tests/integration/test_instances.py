"""Two environments on one machine: the second comes, lives, is upgraded and goes, and the first never notices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from live import LiveLab

from tests.integration.looks import Fab, api, changed, counts, curl, psql, succeeded

HOST = "vm1"
PORTS = {"default": 4200, "personal": 4202}
UNITS = {"default": "prefect-server.service", "personal": "prefect-server-personal.service"}
WORKER = "prefect-worker-personal-home.service"
OLD, NEW = "2.20.26", "3.9.1"
DATABASE = "/var/lib/prefect/personal/prefect.db"
#: Leaves one thing of each kind in an environment: a flow run with a log line, a variable, a block.
LEAVE = """
from prefect import flow, get_run_logger
from prefect.blocks.system import Secret

@flow(name="mine-{instance}")
def mine():
    get_run_logger().info("log of {instance}")

mine()
Secret(value="x").save("block-{instance}")
"""


def site_of(lab: LiveLab, folder: Path, version: str, **shared: object) -> Path:
    """vm1 with its server, and ``personal`` of ``version`` beside it, on SQLite, with a worker. ``shared``: of both."""
    url = f"http://{lab.address(HOST)}"
    personal = {
        **{"port": PORTS["personal"], "public_url": f"{url}:{PORTS['personal']}", "database": "sqlite"},
        **{"prefect_version": version, "work_pool": "home"},
    }
    return lab.site(folder, host_vars={HOST: {**shared, "instances": {"default": {}, "personal": personal}}})


def endpoint(lab: LiveLab, instance: str, path: str) -> str:
    return f"http://{lab.address(HOST)}:{PORTS[instance]}/api/{path}"


def ask(lab: LiveLab, instance: str, path: str, body: object = None) -> list[dict[str, object]]:
    """A list from the API of an instance, as another host sees it."""
    found: list[dict[str, object]] = api(lab, "laptop1", endpoint(lab, instance, path), {} if body is None else body)
    return found


def pid(lab: LiveLab, instance: str) -> str:
    """The main process of an instance's server, and how often systemd restarted it."""
    return str(lab.host(HOST).check_output(f"systemctl show -P MainPID -P NRestarts {UNITS[instance]}"))


def leave(lab: LiveLab, instance: str) -> None:
    """Use an environment with its own Prefect, as a program on the host would."""
    script = f"/tmp/leave-{instance}.py"
    lab.ssh(HOST, f"cat > {script}", text=LEAVE.format(instance=instance))
    settings = f"PREFECT_API_URL={endpoint(lab, instance, '').rstrip('/')} PREFECT_HOME=/tmp/leave-{instance}"
    lab.ssh(HOST, f"{settings} /opt/prefect/{instance}/bin/python {script}")
    body = {"name": f"variable_{instance}", "value": "x"}
    api(lab, "laptop1", endpoint(lab, instance, "variables/"), body)
    api(lab, "laptop1", endpoint(lab, instance, "work_pools/"), {"name": f"pool-{instance}", "type": "process"})


def seen(lab: LiveLab, instance: str) -> dict[str, set[str]]:
    """Names of everything that an environment shows."""
    return {
        "flows": {str(one["name"]) for one in ask(lab, instance, "flows/filter")},
        "logs": {str(one["message"]) for one in ask(lab, instance, "logs/filter") if "log of" in str(one["message"])},
        "variables": {str(one["name"]) for one in ask(lab, instance, "variables/filter")},
        "pools": {str(one["name"]) for one in ask(lab, instance, "work_pools/filter")},
        "blocks": {str(one["name"]) for one in ask(lab, instance, "block_documents/filter")},
    }


@pytest.fixture(scope="module")
def before(server: LiveLab) -> str:
    """The process of the environment that was there first."""
    return pid(server, "default")


@pytest.fixture(scope="module")
def added(server: LiveLab, before: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fab, Path]:
    """What adding the second environment did, and its site."""
    site = site_of(server, tmp_path_factory.mktemp("two"), OLD)
    return server.fab("-H", HOST, "deploy", inventory=site), site


@pytest.fixture(scope="module")
def both(server: LiveLab, added: tuple[Fab, Path]) -> LiveLab:
    succeeded(added[0])
    return server


def test_the_second_environment_comes_and_the_first_is_not_touched(
    both: LiveLab, added: tuple[Fab, Path], before: str
) -> None:
    ids = changed(added[0])
    assert {"User:prefect-personal", f"SystemdUnit:{UNITS['personal']}", f"SystemdUnit:{WORKER}"} <= ids
    assert not {one for one in ids if one.endswith((UNITS["default"], "/default/server.env"))}
    assert pid(both, "default") == before, "the first server was restarted"
    assert "(worker personal home)" in added[0].stdout, "the new environment was proved by a flow run"
    assert "(server default)" not in added[0].stdout, "the old one had nothing to prove"


def test_a_second_deploy_of_both_changes_nothing(both: LiveLab, added: tuple[Fab, Path]) -> None:
    done = both.fab("-H", HOST, "deploy", inventory=added[1])
    succeeded(done)
    assert counts(done, HOST)["changed"] == 0


def test_pools_queues_and_limits_of_both_may_be_called_the_same(both: LiveLab, tmp_path: Path) -> None:
    pools = {"both": {"concurrency_limit": 3, "queues": {"urgent": {"priority": 1}}}}
    site = site_of(both, tmp_path, OLD, work_pools=pools, concurrency_limits={"tag": 2})
    done = both.fab("-H", HOST, "deploy", "--no-verify", inventory=site)
    succeeded(done)
    names = ("WorkPool:{}both", "WorkQueue:{}both/urgent", "TagConcurrencyLimit:{}tag")
    assert changed(done) == {name.format(prefix) for name in names for prefix in ("", "personal/")}
    curl(
        both,
        "laptop1",
        endpoint(both, "personal", "work_pools/both"),
        "-X",
        "PATCH",
        "--json",
        """'{"is_paused": true}'""",
    )
    paused = {instance: api(both, "laptop1", endpoint(both, instance, "work_pools/both")) for instance in PORTS}
    assert {instance: pool["is_paused"] for instance, pool in paused.items()} == {"default": False, "personal": True}
    assert counts(both.fab("-H", HOST, "deploy", "--no-verify", inventory=site), HOST)["changed"] == 0


def test_each_has_its_own_user_home_database_port_and_ui(both: LiveLab) -> None:
    host = both.host(HOST)
    for instance, user in (("default", "prefect"), ("personal", "prefect-personal")):
        assert host.socket(f"tcp://0.0.0.0:{PORTS[instance]}").is_listening
        assert host.check_output(f"systemctl show -P User {UNITS[instance]}") == user
        home = host.file(f"/var/lib/prefect/{instance}")
        assert (home.user, home.mode) == (user, 0o750)
        answer = json.loads(curl(both, "laptop1", f"http://{both.address(HOST)}:{PORTS[instance]}/ui-settings"))
        assert answer["api_url"] == endpoint(both, instance, "").rstrip("/")
    assert host.file(DATABASE).user == "prefect-personal"
    for path in ("/etc/prefect/default/server.env", "/var/lib/prefect/default", "/var/lib/prefect/default-worker/x"):
        assert host.run(f"runuser -u prefect-personal -- cat {path}").rc != 0, f"{path} is open to the other's user"
    assert host.run("runuser -u prefect-personal -- psql -d prefect -c 'SELECT 1'").rc != 0


def test_nothing_of_one_shows_in_the_other(both: LiveLab) -> None:
    for instance in PORTS:
        leave(both, instance)
    for instance, other in (("default", "personal"), ("personal", "default")):
        names = seen(both, instance)
        assert f"mine-{instance}" in names["flows"]
        assert names["logs"] == {f"log of {instance}"}
        assert names["variables"] == {f"variable_{instance}"}
        assert names["blocks"] == {f"block-{instance}"}
        assert f"pool-{instance}" in names["pools"]
        assert not [name for group in names.values() for name in group if other in name]
    assert psql(both, HOST, "SELECT count(*) FROM flow WHERE name LIKE '%personal%'") == "0"


def test_stopping_one_leaves_the_other_serving(both: LiveLab) -> None:
    host = both.host(HOST)
    host.check_output(f"systemctl stop {UNITS['personal']}")
    assert curl(both, "laptop1", endpoint(both, "default", "health")) == "true"
    assert curl(both, "laptop1", endpoint(both, "personal", "health")) == ""


def test_upgrading_one_keeps_its_runs_and_leaves_the_other_alone(
    both: LiveLab, before: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = site_of(both, tmp_path_factory.mktemp("upgraded"), NEW)
    done = both.fab("-H", HOST, "deploy", "--instance", "personal", inventory=site)
    succeeded(done)
    assert not {one for one in changed(done) if "default" in one}
    assert json.loads(curl(both, "laptop1", endpoint(both, "personal", "admin/version"))) == NEW
    assert "mine-personal" in seen(both, "personal")["flows"], "its runs are still there"
    assert pid(both, "default") == before
    assert json.loads(curl(both, "laptop1", endpoint(both, "default", "admin/version"))) == NEW


def test_removing_one_keeps_its_data_and_leaves_the_other_alone(
    both: LiveLab, added: tuple[Fab, Path], before: str
) -> None:
    assert both.fab("-H", HOST, "undeploy", inventory=added[1]).returncode == 1, "which of the two must be said"
    done = both.fab("-H", HOST, "undeploy", "--instance", "personal", inventory=added[1])
    assert DATABASE.rpartition("/")[0] in succeeded(done), "what is kept is named"
    host = both.host(HOST)
    units = host.check_output("systemctl list-unit-files --no-legend 'prefect-*'")
    assert UNITS["default"] in units and "personal" not in units
    assert not host.file("/etc/prefect/personal").exists
    assert host.file(DATABASE).exists
    assert not host.socket(f"tcp://0.0.0.0:{PORTS['personal']}").is_listening
    assert pid(both, "default") == before
    again = both.fab("-H", HOST, "undeploy", "--instance", "personal", inventory=added[1])
    succeeded(again)
    assert counts(again, HOST)["changed"] == 0
