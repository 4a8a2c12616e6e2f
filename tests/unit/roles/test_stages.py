"""The plan of the shipped roles, against a golden file; ENCAMP_GOLDEN=write makes it anew, to be reviewed as a diff."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from encamp.commands.deploy import prepare
from encamp.errors import EncampError, SettingsError
from encamp.inventory.load import load_inventory
from encamp.planning.job import Job, RunIdentity
from encamp.planning.plan import HostPlan, Step, resource_wire
from encamp.resources.files.file import File
from encamp.resources.python.uv.tool import UvTool
from encamp.resources.systemd.unit import SystemdUnit
from encamp.shared.wire import BlobStore, from_wire
from encamp.site import Site
from encamp.transport import bundle, shipped
from roles.network import address
from roles.prefect import uv_release
from roles.server.kinds.health import ServerHealth
from roles.stages import SETTINGS
from tests.checkout import CHECKOUT

GOLDEN = CHECKOUT / "tests" / "golden"
CASES = {
    "server": {"vm1": "ansible_host: prefect.example.com"},
    "server-sqlite-and-worker": {"vm1": "{ansible_host: 192.0.2.7, database: sqlite, port: 4300, work_pool: etl}"},
}


def planned(tmp_path: Path, hosts: dict[str, str]) -> tuple[Site, HostPlan]:
    """The plan of the first host of a site whose hosts are all servers."""
    lines = [
        f"        {name}: {values if values.startswith('{') else '{' + values + '}'}" for name, values in hosts.items()
    ]
    text = "all:\n  children:\n    servers:\n      hosts:\n" + "\n".join(lines) + "\n"
    (tmp_path / "hosts.yml").write_text(text)
    loaded = load_inventory(tmp_path)
    site = Site(loaded, [])
    prepared = prepare(site, [site.host(next(iter(hosts)))], verify=True)
    return site, next(iter(prepared.plans.values()))


def described(plan: HostPlan) -> str:
    """Order, ids and notifications of a plan, then every text that it writes."""
    lines = []
    for item in plan.items:
        if isinstance(item, Step):
            notified = "".join(f" -> {handler.id}" for handler in item.notify)
            lines.append(f"{item.resource.id}{notified}{' (when changed)' if item.when_changed else ''}")
        else:
            lines.append("-- handlers --")
    for step in plan.steps:
        if isinstance(step.resource, (File, SystemdUnit)):
            lines += ["", f"=== {step.resource.id}", str(step.resource.content).rstrip()]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_the_reviewed_one(tmp_path: Path, name: str) -> None:
    found = described(planned(tmp_path, CASES[name])[1])
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("ENCAMP_GOLDEN") == "write":
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ("ansible_host: 192.0.2.7", "http://192.0.2.7:4200/api"),
        ("{ansible_host: 192.0.2.7, port: 4300}", "http://192.0.2.7:4300/api"),
        ("{ansible_host: '2001:db8::7', bind: '::'}", "http://[2001:db8::7]:4200/api"),
        ("{ansible_host: 127.0.0.1, public_url: 'https://p.example.com/api/'}", "https://p.example.com/api"),
    ],
)
def test_one_public_address_from_which_all_others_follow(tmp_path: Path, values: str, url: str) -> None:
    site, plan = planned(tmp_path, {"vm1": values})
    assert address.api_url(site.host("vm1")) == url
    assert f"PREFECT_SERVER_UI_API_URL={url}" in described(plan).replace('"', "")


@pytest.mark.parametrize(
    "values",
    ["ansible_host: 127.0.0.1", "ansible_host: '::1'", "public_url: 'http://0.0.0.0:4200'", "public_url: vm1:4200"],
)
def test_no_address_that_clients_cannot_use(tmp_path: Path, values: str) -> None:
    with pytest.raises(SettingsError, match="public_url"):
        planned(tmp_path, {"vm1": values})


@pytest.mark.parametrize(
    ("values", "bind"),
    [
        ("ansible_host: '2001:db8::7'", "::"),
        ("ansible_host: vm1, public_url: 'http://[2001:db8::7]:4200', bind: 192.0.2.7", "::"),
        ("ansible_host: 192.0.2.7, bind: '::'", "0.0.0.0"),
    ],
)
def test_clients_and_server_use_one_version_of_ip(tmp_path: Path, values: str, bind: str) -> None:
    with pytest.raises(SettingsError, match=r"clients use .*, but the server listens on") as caught:
        planned(tmp_path, {"vm1": values})
    assert f"bind: '{bind}'" in caught.value.fix and caught.value.where is not None


def test_a_proxy_may_stand_between_two_versions_of_ip(tmp_path: Path) -> None:
    planned(tmp_path, {"vm1": "ansible_host: 192.0.2.7, public_url: 'https://[2001:db8::7]'"})
    planned(tmp_path, {"vm1": "ansible_host: '2001:db8::7', tls: internal"})


@pytest.mark.parametrize(
    ("values", "ui"),
    [
        ("", True),
        (", server_environment: {PREFECT_SERVER_UI_ENABLED: 'false'}", False),
        (", server_environment: {PREFECT_UI_ENABLED: '0'}", False),
        (", server_environment: {PREFECT_SERVER_UI_ENABLED: 'true'}", True),
    ],
)
def test_no_ui_is_asked_for_where_there_is_none(tmp_path: Path, values: str, ui: bool) -> None:
    plan = planned(tmp_path, {"vm1": f"{{ansible_host: 192.0.2.7{values}}}"})[1]
    assert [step.resource.ui for step in plan.steps if isinstance(step.resource, ServerHealth)] == [ui]


@pytest.mark.parametrize(
    ("port", "release", "lines"),
    [
        (4200, "2.20.26", ["CapabilityBoundingSet="]),
        (80, "2.20.26", ["AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"]),
        (80, "3.9.1", ["CapabilityBoundingSet="]),
    ],
)
def test_a_server_below_port_1024_is_let(tmp_path: Path, port: int, release: str, lines: list[str]) -> None:
    """Where systemd has the port, the server needs no capability for it."""
    plan = planned(tmp_path, {"vm1": f"ansible_host: 192.0.2.7, port: {port}, prefect_version: '{release}'"})[1]
    unit = unit_of(plan, "prefect-server.service")
    assert [line for line in unit.splitlines() if "Capabilit" in line] == lines


def unit_of(plan: HostPlan, name: str) -> str:
    """The text of a unit; empty where the plan has none."""
    units = [step.resource for step in plan.steps if isinstance(step.resource, SystemdUnit)]
    return next((str(unit.content) for unit in units if unit.name == name), "")


@pytest.mark.parametrize(
    ("settings", "listens"),
    [
        ("port: 4201", ["ListenStream=0.0.0.0:4201"]),
        ("bind: '::', public_url: 'http://h:4200'", ["ListenStream=[::]:4200", "BindIPv6Only=ipv6-only"]),
        ("tls: internal, public_url: 'https://h'", ["ListenStream=127.0.0.1:4200"]),
    ],
)
def test_the_socket_listens_where_the_server_is_to(tmp_path: Path, settings: str, listens: list[str]) -> None:
    plan = planned(tmp_path, {"vm1": f"ansible_host: 192.0.2.7, {settings}"})[1]
    lines = unit_of(plan, "prefect-server.socket").splitlines()
    assert [line for line in lines if line.startswith(("ListenStream", "BindIPv6Only"))] == listens


@pytest.mark.parametrize("settings", ["prefect_version: '2.20.26'", "runtime: compose"])
def test_a_server_without_a_socket_has_no_door(tmp_path: Path, settings: str) -> None:
    plan = planned(tmp_path, {"vm1": f"ansible_host: 192.0.2.7, {settings}"})[1]
    assert not unit_of(plan, "prefect-server.socket") and not unit_of(plan, "prefect-door.service")
    assert "prefect-server.socket" not in unit_of(plan, "prefect-server.service")


def test_environments_of_several_releases_share_a_host(tmp_path: Path) -> None:
    instances = "{default: {prefect_version: '2.20.26'}, old: {prefect_version: '2.7.12', port: 4201}}"
    plan = planned(tmp_path, {"vm1": f"{{ansible_host: 192.0.2.7, instances: {instances}}}"})[1]
    assert len([label for label in plan.labels if label.startswith("Distutils:")]) == 2


def test_a_release_without_a_lock_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(EncampError) as caught:
        planned(tmp_path, {"vm1": "{ansible_host: h, prefect_version: '3.8.7'}"})
    assert "fab lock --prefect 3.8.7" in caught.value.fix


def test_no_class_of_settings_is_left_out_of_the_registry() -> None:
    declared = {
        ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
        for path in (CHECKOUT / "roles").rglob("*.py")
        if "\nclass Settings:" in path.read_text()
    }
    assert declared == {cls.__module__ for cls in SETTINGS}


def test_the_references_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wheel_that_is_not_pinned_is_refused_before_any_host(tmp_path: Path) -> None:
    (tmp_path / "uv.whl").write_bytes(b"not uv")
    with pytest.raises(SettingsError, match="not one of the pinned wheels") as caught:
        planned(tmp_path, {"vm1": "{ansible_host: h, uv_wheel: uv.whl}"})
    assert uv_release.WHEELS[0][1] in caught.value.fix and str(caught.value.where).endswith("hosts.yml:5")


def test_a_pinned_wheel_travels_as_a_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = ("x86_64-linux-gnu", "uv.whl", hashlib.sha256(b"uv").hexdigest())
    monkeypatch.setattr(uv_release, "WHEELS", (pinned,))
    (tmp_path / "uv.whl").write_bytes(b"uv")
    _, plan = planned(tmp_path, {"vm1": "{ansible_host: h, uv_wheel: uv.whl}"})
    tool = next(step.resource for step in plan.steps if isinstance(step.resource, UvTool))
    store = BlobStore()
    arrived = from_wire(resource_wire(tool, store))
    assert arrived.wheel.sha256 == pinned[2] and store.get(pinned[2]) == b"uv"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("{PREFECT_SERVER_API_PORT: '4300'}", "set by encamp itself"),
        ("{PREFECT_API_DATABASE_CONNECTION_URL: 'sqlite://'}", "set by encamp itself"),
        ("{LD_PRELOAD: x}", "not a PREFECT_"),
    ],
)
def test_further_settings_cannot_contradict_ours(tmp_path: Path, environment: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        planned(tmp_path, {"vm1": f"{{ansible_host: h, server_environment: {environment}}}"})


def test_a_host_is_sent_little_at_first(tmp_path: Path) -> None:
    """The sources that a server's check needs. What only a change or a failure needs travels when it does."""
    plan = planned(tmp_path, CASES["server"])[1]
    payload = bundle.pack(Job(plan, RunIdentity("x", "test")).wire(BlobStore()))
    assert len(payload.code) < 55_000
    later = {
        *("encamp.resources.packages.installation", "encamp.resources.packages.errors", "encamp.resources.proxy"),
        *("encamp.resources.postgres.initdb", "encamp.resources.python.uv.run", "roles.prefect.kinds.call_errors"),
        *(f"encamp.resources.systemd.{name}" for name in ("control", "journal", "results", "verification")),
    }
    assert not later & payload.modules
    assert all(shipped.source_file(name) for name in later)
