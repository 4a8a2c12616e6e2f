"""Who may use an instance, as it is planned: auth strings, what releases know, addresses that the world reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from encamp.commands.deploy import prepare
from encamp.errors import SettingsError
from encamp.inventory.load import load_inventory
from encamp.planning.plan import HostPlan
from encamp.resources.files.file import File
from encamp.secrets.store import Missing
from encamp.shared.secret import Secret
from encamp.site import Site
from encamp.support.quoting import env_value
from roles.network import access
from roles.network.kinds.exposure import Exposure
from roles.prefect.kinds.api_auth import ApiAuth
from roles.proof.kinds.flow_run import VerificationRun
from roles.server.kinds.health import ServerHealth
from roles.worker.kinds.pool import WorkPool

HERE = "ansible_host: 198.18.0.7"
#: Every printable letter of ASCII, with the ends that are allowed.
HOSTILE = "a b:" + "".join(map(chr, range(0x20, 0x7F))) + ":%40${HOME}\\n`id`x"


def fleet(tmp_path: Path, server: str, worker: str = "", missing: Missing = "plan") -> tuple[Site, HostPlan]:
    """A site with a server vm1, and perhaps a worker vm2; the plan of the last of them."""
    workers = f"    workers:\n      hosts:\n        vm2: {{{worker}}}\n" if worker else ""
    text = f"all:\n  children:\n    servers:\n      hosts:\n        vm1: {{{server}}}\n{workers}"
    (tmp_path / "hosts.yml").write_text(text)
    site = Site(load_inventory(tmp_path), [], missing)
    name = "vm2" if worker else "vm1"
    return site, next(iter(prepare(site, [site.host(name)], verify=True).plans.values()))


def one(plan: HostPlan, kind: type) -> Any:
    return next(step.resource for step in plan.steps if isinstance(step.resource, kind))


def env_of(plan: HostPlan, path: str = "server.env") -> str:
    """The text of an environment file, secret or not."""
    content = next(
        step.resource.content
        for step in plan.steps
        if isinstance(step.resource, File) and step.resource.path.endswith(path)
    )
    return content.reveal() if isinstance(content, Secret) else str(content)


def test_without_auth_nobody_is_asked_for_it(tmp_path: Path) -> None:
    site, plan = fleet(tmp_path, HERE)
    assert access.auth(site.host("vm1"), site) is None
    assert "AUTH" not in env_of(plan)
    assert one(plan, ServerHealth).auth is None
    assert not (tmp_path / "secrets").exists()


def test_auto_is_in_step_on_server_worker_and_probes(tmp_path: Path) -> None:
    site, plan = fleet(tmp_path, f"{HERE}, auth: auto", "ansible_host: 198.18.0.8", "make")
    secret = access.auth(site.host("vm1"), site)
    assert secret is not None
    user, _, password = secret.reveal().partition(":")
    assert user == "admin" and (tmp_path / "secrets/vm1+default+api-auth").read_text() == f"{password}\n"
    assert f"PREFECT_API_AUTH_STRING={secret.reveal()}\n" in env_of(plan, "worker.env")
    assert one(plan, WorkPool).auth == one(plan, VerificationRun).auth == secret
    assert one(plan, ApiAuth).line == Secret(f"PREFECT_API_AUTH_STRING={secret.reveal()}")
    _, server = fleet(tmp_path, f"{HERE}, auth: auto")
    assert f"PREFECT_SERVER_API_AUTH_STRING={secret.reveal()}\n" in env_of(server)
    assert one(server, ServerHealth).auth == one(server, VerificationRun).auth == secret
    assert secret.reveal() not in repr(server)


def test_a_check_before_the_first_deploy_plans_and_keeps_nothing(tmp_path: Path) -> None:
    _, plan = fleet(tmp_path, f"{HERE}, auth: auto", missing="plan")
    assert "PREFECT_SERVER_API_AUTH_STRING=admin:" in env_of(plan)
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("word", ["off", "'off'", "false"])
def test_off_is_off_however_it_is_written(tmp_path: Path, word: str) -> None:
    assert "AUTH" not in env_of(fleet(tmp_path, f"{HERE}, auth: {word}")[1])


def test_a_string_of_the_operators_own(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text(HOSTILE + "\n")
    site, plan = fleet(tmp_path, f"{HERE}, auth: {{file: {tmp_path}/auth}}")
    assert access.auth(site.host("vm1"), site) == Secret(HOSTILE)
    assert f"PREFECT_SERVER_API_AUTH_STRING={env_value(HOSTILE)}\n" in env_of(plan)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("hunter2", "no colon"),
        (":hunter2", "empty"),
        ("admin:", "empty"),
        ("'admin:hunter2'", "quotation mark"),
        ('admin:hunter2"', "quotation mark"),
        (" admin:hunter2", "space"),
        ("admin:hunter2 ", "space"),
        ("admin:hunter2\r\r", "a line break"),
        ("admin:hunter2\nPREFECT_X=1", "a line break"),
        ("admin:hünter2", "printable ASCII"),
        ("admin:hunter2\x7f", "a control character"),
        ("admin:hunter2\t", "printable ASCII"),
    ],
)
def test_strings_that_cannot_work_are_refused_and_not_repeated(tmp_path: Path, text: str, wrong: str) -> None:
    (tmp_path / "auth").write_text(text + "\n", newline="")
    with pytest.raises(SettingsError, match=wrong) as refused:
        fleet(tmp_path, f"{HERE}, auth: {{file: {tmp_path}/auth}}")
    assert str(refused.value.where).endswith("hosts.yml:5")
    assert "nter2" not in str(refused.value) + refused.value.fix


def test_a_string_in_the_inventory_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no secret as plain text") as refused:
        fleet(tmp_path, f"{HERE}, auth: 'admin:hunter2'")
    assert "hunter2" not in str(refused.value) + refused.value.fix


def test_nor_may_it_hide_among_the_servers_further_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH", "admin:hunter2")
    with pytest.raises(SettingsError, match="set by encamp itself") as refused:
        fleet(tmp_path, f"{HERE}, server_environment: {{PREFECT_SERVER_API_AUTH_STRING: {{env: AUTH}}}}")
    assert "auth" in refused.value.fix
    with pytest.raises(SettingsError, match="AUTH_STRING must not be in the inventory as plain text") as refused:
        fleet(tmp_path, f"{HERE}, server_environment: {{PREFECT_SERVER_API_AUTH_STRING: 'admin:hunter2'}}")
    assert "hunter2" not in str(refused.value) + refused.value.fix


# -- what a release knows ----------------------------------------------------------------------------------------------


def test_auto_is_off_where_the_release_has_no_auth(tmp_path: Path) -> None:
    site, plan = fleet(tmp_path, f"{HERE}, auth: auto, prefect_version: '2.20.26'", missing="make")
    assert access.auth(site.host("vm1"), site) is None and "AUTH" not in env_of(plan)
    assert access.client_settings(site.host("vm1"), site) == {}
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize(
    ("setting", "version", "since"),
    [
        ("auth: {file: auth}", "2.20.26", "3.1.8"),
        ("csrf: true", "2.7.12", "2.16.5"),
        ("cors_allowed_origins: ['*']", "2.7.12", "2.20.17"),
    ],
)
def test_what_a_release_would_ignore_is_refused(tmp_path: Path, setting: str, version: str, since: str) -> None:
    (tmp_path / "auth").write_text("admin:x")
    with pytest.raises(SettingsError, match=f"has no effect on Prefect {version}.*since {since}"):
        fleet(tmp_path, f"{HERE}, {setting}, prefect_version: '{version}'")


def test_csrf_and_cors_by_the_releases_names(tmp_path: Path) -> None:
    cors = "cors_allowed_origins: ['https://a.example', 'http://b.example:8080'], cors_allowed_methods: [GET, POST]"
    worker = env_of(fleet(tmp_path, f"{HERE}, csrf: true", "ansible_host: 198.18.0.8")[1], "worker.env")
    assert "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED=true\n" in worker
    settings = f"{HERE}, csrf: true, {cors}, cors_allowed_headers: [Authorization], analytics: true"
    lines = env_of(fleet(tmp_path, settings)[1]).splitlines()
    assert {
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED=true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS=https://a.example,http://b.example:8080",
        "PREFECT_SERVER_API_CORS_ALLOWED_METHODS=GET,POST",
        "PREFECT_SERVER_API_CORS_ALLOWED_HEADERS=Authorization",
        "PREFECT_SERVER_ANALYTICS_ENABLED=true",
    } <= set(lines)


@pytest.mark.parametrize(
    "wrong",
    [
        "cors_allowed_origins: [a.example]",
        "cors_allowed_origins: ['https://a.example/']",
        "cors_allowed_origins: ['https://a.example,https://b.example']",
        "cors_allowed_origins: '*'",
        "cors_allowed_methods: ['GET, POST']",
        "cors_allowed_headers: ['X Y']",
        "csrf: 'yes'",
        "allowed_sources: [laptop1]",
        "allowed_sources: [10.0.0.1/8]",
        "allowed_sources: 10.0.0.0/8",
        "allowed_sources: ['fd00::/8']",
        "allowed_sources: [10.0.0.0/8], firewall: false",
        "expose_without_auth: 1",
        "auth: on",
    ],
)
def test_bad_values_are_told_before_any_host_is_touched(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(SettingsError, match=wrong.partition(":")[0]):
        fleet(tmp_path, f"{HERE}, {wrong}")


@pytest.mark.parametrize("asked", ["auth: auto", "csrf: true"])
def test_a_worker_that_the_server_would_turn_away_is_refused(tmp_path: Path, asked: str) -> None:
    hosts = f"        vm1: {{{HERE}, {asked}}}\n        vm2: {{ansible_host: h, prefect_version: '2.14.21'}}\n"
    (tmp_path / "hosts.yml").write_text(f"all:\n  children:\n    servers:\n      hosts:\n{hosts}")
    site = Site(load_inventory(tmp_path), [])
    with pytest.raises(
        SettingsError, match=r"vm2: Prefect 2\.14\.21 does not support .*, which vm1 requires"
    ) as refused:
        list(access.worker_expectations(site.host("vm2"), site.host("vm1"), site))
    assert str(refused.value.where).endswith("hosts.yml:6")


def test_a_client_may_have_a_string_for_a_server_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text("admin:x")
    site, _ = fleet(tmp_path, f"{HERE}, auth: {{file: auth}}")
    assert access.foreign_settings(site.host("vm1")) == {"client_auth": Secret("admin:x")}
    site, _ = fleet(tmp_path, f"{HERE}, auth: auto")
    assert access.foreign_settings(site.host("vm1")) == {}, "a generated one is that of its own server"


# -- the world ---------------------------------------------------------------------------------------------------------

PUBLIC = "ansible_host: 9.9.9.9"
TLS = "ansible_host: 10.0.0.1, tls: internal, public_url: 'https://[2620:fe::fe]'"


@pytest.mark.parametrize(
    "server",
    [
        PUBLIC,
        "ansible_host: 10.0.0.1, public_url: 'http://9.9.9.9:4200'",
        "ansible_host: 10.0.0.1, bind: 9.9.9.9",
        "ansible_host: '2620:fe::fe', bind: '::'",
        f"{PUBLIC}, allowed_sources: [0.0.0.0/0]",
        f"{PUBLIC}, allowed_sources: [0.0.0.0/1, 128.0.0.0/1]",
        f"{PUBLIC}, auth: auto, prefect_version: '2.20.26'",
        "ansible_host: '2620:fe::fe', tls: internal",
        f"{TLS}, allowed_sources: [10.0.0.0/8, '::/0']",
    ],
)
def test_an_open_server_on_a_public_address_is_refused(tmp_path: Path, server: str) -> None:
    with pytest.raises(
        SettingsError, match="is a public address, and the API has neither auth nor allowed_sources"
    ) as refused:
        fleet(tmp_path, server)
    assert "auth: auto" in refused.value.fix and "expose_without_auth: true" in refused.value.fix


@pytest.mark.parametrize(
    "server",
    [
        f"{PUBLIC}, auth: auto",
        f"{PUBLIC}, expose_without_auth: true",
        f"{PUBLIC}, allowed_sources: [192.0.2.0/24]",
        f"{TLS}, allowed_sources: ['2001:db8::/32']",
        f"{TLS}, allowed_sources: [192.0.2.0/24]",
        f"{PUBLIC}, bind: 10.0.0.1, public_url: 'http://10.0.0.1:4200'",
        "ansible_host: '2620:fe::fe', public_url: 'http://vm1.internal:4200'",
    ],
)
def test_what_is_safe_or_meant_is_planned(tmp_path: Path, server: str) -> None:
    plan = fleet(tmp_path, server)[1]
    expected = "auth" not in server
    assert any(isinstance(step.resource, Exposure) for step in plan.steps) == expected


def test_names_are_for_the_host_to_look_up(tmp_path: Path) -> None:
    plan = fleet(tmp_path, "ansible_host: vm1.example.com, public_url: 'https://p.example.com/'")[1]
    found = one(plan, Exposure)
    assert found.names == ("p.example.com", "vm1.example.com")
    kinds = [type(step.resource).__name__ for step in plan.steps]
    assert kinds.index("Exposure") < kinds.index("Packages"), "it comes before anything is changed"
    assert kinds.index("ApiAuth") < kinds.index("Packages")
    assert not one(plan, ApiAuth).changes_host and not found.changes_host
