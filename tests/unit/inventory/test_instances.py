"""Several instances on a host: their settings, what they may not share, and the steps of one apart from the other's."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.cli.options import Options
from encamp.commands.deploy import prepare
from encamp.commands.load_site import load_site
from encamp.errors import EncampError, UsageError
from encamp.inventory.load import load_inventory
from encamp.planning.job import Job, RunIdentity
from encamp.planning.plan import HostPlan
from encamp.shared.wire import BlobStore
from encamp.site import Site, SiteHost
from roles import conflicts, undeploy
from roles.database import settings as database
from roles.network import address

TWO = "{default: {}, personal: {port: 4202, database: sqlite}}"


def write(folder: Path, host: str) -> Path:
    (folder / "hosts.yml").write_text(f"all:\n  children:\n    servers:\n      hosts:\n        vm1:\n{host}")
    return folder


def site(folder: Path, host: str, **overrides: str) -> Site:
    return Site(load_inventory(write(folder, host), overrides), [])


def plan(found: Site, instance: str = "") -> HostPlan:
    prepared = prepare(found, [found.host("vm1")], True, instance)
    return next(iter(prepared.plans.values()))


def test_a_host_without_instances_is_the_default_one(tmp_path: Path) -> None:
    host = site(tmp_path, "          ansible_host: 192.0.2.7\n").host("vm1")
    assert [view.instance for view in host.instances] == ["default"]


def test_an_instance_has_the_hosts_settings_with_its_own_on_top(tmp_path: Path) -> None:
    text = f"          ansible_host: 192.0.2.7\n          server_log_level: INFO\n          instances: {TWO}\n"
    views = {view.instance: view for view in site(tmp_path, text).host("vm1").instances}
    assert views["personal"].settings(address.Settings).port == 4202
    assert views["personal"].settings(database.Settings).database == "sqlite"
    assert views["default"].settings(database.Settings).database == "postgres"
    assert address.api_url(views["personal"]) == "http://192.0.2.7:4202/api"
    assert str(views["personal"].origin("port")).endswith("hosts.yml:8")


def test_a_template_in_an_instance_sees_the_instances_own_values(tmp_path: Path) -> None:
    text = "          instances: {personal: {port: 4202, public_url: 'http://p.example.com:{{ port }}'}}\n"
    host = site(tmp_path, text).host("vm1")
    assert address.public_url(host) == "http://p.example.com:4202"


def test_the_command_line_counts_more_than_an_instance(tmp_path: Path) -> None:
    host = site(tmp_path, "          instances: {personal: {port: 4202}}\n", port="4300").host("vm1")
    assert host.settings(address.Settings).port == 4300


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("instances: [personal]", "must be a mapping"),
        ("instances: {}", "must be a mapping"),
        ("instances: {Personal: {}}", "'Personal' is not a valid name"),
        ("instances: {a--b: {}}", "is not a valid name"),
        ("instances: {abcdefghijklmnopq: {}}", "is not a valid name"),
        ("instances: {my-worker: {port: 1}}", "encamp uses it itself"),
        ("instances: {default: 4202}", "instead of settings"),
        ("instances: {default: {}, personal: {}}", "have the same port: 4200"),
        ("instances: {default: {prot: 4202}}", "did you mean port?"),
        ("instances: {default: {port: '42'}}", "must be a whole number"),
        ("instances: {default: {ansible_port: 22}}", "ansible_port is the same for all instances"),
        ("instances: {default: {ca_bundle: x.pem}}", "ca_bundle is the same for all instances"),
        ("instances: {default: {adhoc: true}}", "adhoc is the same for all instances"),
    ],
)
def test_mistakes_name_the_line(tmp_path: Path, text: str, wanted: str) -> None:
    write(tmp_path, f"          ansible_host: 192.0.2.7\n          {text}\n")
    with pytest.raises(EncampError) as caught:
        load_site(Options(None, "vm1", str(tmp_path)), ())  # type: ignore[arg-type]  # no connection is made
    assert wanted in f"{caught.value} {caught.value.fix}"
    assert "hosts.yml:7" in str(caught.value)
    assert caught.value.exit_code == 4


def test_two_servers_cannot_have_one_public_url(tmp_path: Path) -> None:
    text = "          public_url: http://p.example.com\n        vm2: {public_url: 'http://p.example.com/'}\n"
    write(tmp_path, text)
    with pytest.raises(EncampError, match=r"hosts.yml:7: vm1 \(default\) and vm2 \(default\) have the same public_url"):
        load_site(Options(None, "vm1", str(tmp_path)), ())  # type: ignore[arg-type]  # no connection is made


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ansible_host: 192.0.2.7", "ansible_host: 192.0.2.7, port: 4202", True),
        ("ansible_connection: local", "ansible_connection: local, port: 4202", True),
        ("ansible_host: 192.0.2.7", "ansible_host: 192.0.2.7, ansible_port: 2222", False),
        ("ansible_host: 192.0.2.7, ansible_port: x", "ansible_host: 192.0.2.7", False),
        ("ansible_host: 192.0.2.7", "ansible_host: 192.0.2.8", False),
    ],
)
def test_a_machine_that_is_listed_as_two_servers_is_told(tmp_path: Path, one: str, other: str, same: bool) -> None:
    file = write(tmp_path, "").joinpath("hosts.yml")
    file.write_text(file.read_text().replace("vm1:\n", f"vm1: {{{one}}}\n        vm2: {{{other}}}\n"))
    found = Site(load_inventory(tmp_path), [])
    told = "\n".join(conflicts.warnings(found.host("vm2"), found))
    assert ("vm2 and vm1 are the same machine" in told and "instances: {default: {}" in told) if same else not told


def test_the_same_public_url_may_be_written_in_two_ways(tmp_path: Path) -> None:
    text = "          public_url: http://p.example.com\n        vm2: {public_url: 'http://p.example.com/api'}\n"
    write(tmp_path, text)
    with pytest.raises(EncampError, match=r"have the same public_url: http://p.example.com"):
        load_site(Options(None, "vm1", str(tmp_path)), ())  # type: ignore[arg-type]  # no connection is made


def test_instances_of_a_worker_alone_need_no_ports(tmp_path: Path) -> None:
    workers = "    workers:\n      hosts:\n        w1: {instances: {default: {}, personal: {}}}\n"
    write(tmp_path, f"          ansible_host: 192.0.2.7\n          instances: {TWO}\n{workers}")
    load_site(Options(None, "w1", str(tmp_path)), ())  # type: ignore[arg-type]  # no connection is made


@pytest.mark.parametrize(
    ("instances", "reason"),
    [
        ("{default: {work_pool: x-y}, x: {port: 4202, work_pool: y}}", "both define prefect-worker-x-y.service"),
        ("{default: {port: 443}, x: {tls: internal}}", "port 443 is used by both the proxy"),
        ("{default: {port: 80}, x: {tls: internal}}", "port 80 is used by both the proxy"),
        ("{default: {}, x: {port: 4202, database_name: prefect}}", r"vm1 \(default\) and vm1 \(x\) would use one"),
    ],
)
def test_what_two_instances_cannot_have_in_common(tmp_path: Path, instances: str, reason: str) -> None:
    with pytest.raises(EncampError, match=f"hosts.yml:7: .*{reason}") as caught:
        plan(site(tmp_path, f"          ansible_host: 192.0.2.7\n          instances: {instances}\n"))
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("work_pool: etl", {"WorkPool:etl", "WorkPool:b/etl", "WorkerOnline:etl/vm1", "WorkerOnline:b/etl/vm1"}),
        ("work_pools: {etl: {queues: {q: {}}}}", {"WorkPool:b/etl", "WorkQueue:etl/q", "WorkQueue:b/etl/q"}),
        ("concurrency_limits: {x: 1}", {"TagConcurrencyLimit:x", "TagConcurrencyLimit:b/x"}),
        ("global_concurrency_limits: {x: {limit: 1}}", {"GlobalConcurrencyLimit:x", "GlobalConcurrencyLimit:b/x"}),
        ("prefect_version: '2.7.12', agents: [{}]", {"WorkQueue:agents/default", "WorkQueue:b/agents/default"}),
    ],
)
def test_pools_queues_and_limits_may_be_called_the_same(tmp_path: Path, text: str, ids: set[str]) -> None:
    values = f"{{ansible_host: 192.0.2.7, {text}, instances: {{default: {{}}, b: {{port: 4202}}}}}}"
    host = write(tmp_path, "").joinpath("hosts.yml")
    host.write_text(host.read_text().replace("vm1:\n", f"vm1: {values}\n"))
    found = {step.resource.id: step.resource for step in plan(Site(load_inventory(tmp_path), [])).steps}
    assert ids <= found.keys()
    urls = {found[one].api_url for one in ids}  # type: ignore[attr-defined]
    assert {url.rpartition(":")[2] for url in urls} == {"4200/api", "4202/api"}


def test_a_plan_holds_each_instance_and_what_they_share_once(tmp_path: Path) -> None:
    text = f"          ansible_host: 192.0.2.7\n          instances: {TWO}\n"
    both = plan(site(tmp_path, text))
    assert {"SystemdUnit:prefect-server.service", "SystemdUnit:prefect-server-personal.service"} <= set(both.labels)
    assert len(set(both.labels)) == len(both.labels)
    first_change = both.labels.index("User:prefect")
    assert both.labels.index("ServerPlace:4202") < first_change, "what is expected of any instance comes before changes"
    steps = {step.resource.id: step for step in both.steps}
    assert steps["User:prefect-personal"].instance == "personal"
    assert steps["Directory:/etc/prefect"].instance == ""


def test_one_instance_can_be_deployed_alone(tmp_path: Path) -> None:
    found = site(tmp_path, f"          ansible_host: 192.0.2.7\n          instances: {TWO}\n")
    labels = plan(found, "personal").labels
    assert "User:prefect-personal" in labels and "User:prefect" not in labels
    with pytest.raises(UsageError, match="it has default, personal"):
        plan(found, "persnal")


def test_a_lone_instance_costs_no_bytes(tmp_path: Path) -> None:
    one = plan(site(tmp_path, "          ansible_host: 192.0.2.7\n"))
    assert not any("part" in step for step in Job(one, RunIdentity("x", "test")).wire(BlobStore())["steps"])


def removed(host: SiteHost, instance: str) -> set[str]:
    """What an undeploy of an instance takes off a host."""
    return {str(getattr(item, "resource", item)) for item in undeploy.resources(host, instance)}


def test_removing_an_instance_leaves_an_address_that_another_one_is_behind(tmp_path: Path) -> None:
    shared = "{tls: internal, public_url: 'https://p.example.com/%s', port: %d}"
    text = f"          instances: {{default: {shared % ('one', 4200)}, personal: {shared % ('two', 4202)}}}\n"
    host = site(tmp_path, text).host("vm1")
    for instance in ("default", "personal"):
        assert not any("caddy" in item for item in removed(host, instance))
    alone = site(tmp_path, "          tls: internal\n          public_url: https://p.example.com\n")
    assert any("caddy" in item for item in removed(alone.host("vm1"), "default"))
