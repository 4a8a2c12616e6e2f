"""Plans of servers with their databases elsewhere, and what is refused with no host touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from encamp.commands.deploy import prepare
from encamp.errors import EncampError, PlanError, SettingsError
from encamp.inventory.load import load_inventory
from encamp.planning.plan import HostPlan
from encamp.resources.base import Resource
from encamp.resources.firewall.port import FirewallPort
from encamp.resources.postgres.expectation import PostgresExpectation
from encamp.resources.postgres.hba_prune import PostgresHbaOnly
from encamp.resources.postgres.hba_rule import PostgresHbaRule
from encamp.resources.postgres.role import PostgresRole
from encamp.resources.postgres.settings import PostgresSettings
from encamp.secrets import sources as secret_sources
from encamp.shared.secret import Secret
from encamp.site import Site
from roles.database import connection as database_connection
from roles.database.kinds.probe import DatabaseProbe
from roles.database.kinds.sqlite import SqliteDatabase
from roles.server import native

DB = {"db1": {"ansible_host": "192.0.2.9"}}
URL = {"database_url": {"env": "A_URL"}}


def planned(
    tmp_path: Path, servers: dict[str, Any], databases: dict[str, Any] | None = None, **groups: Any
) -> dict[str, HostPlan]:
    """The plan of every server and database host of a site."""
    children = {"servers": {"hosts": servers}, "databases": {"hosts": databases or {}}}
    children |= {name: {"hosts": hosts} for name, hosts in groups.items()}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
    site = Site(load_inventory(tmp_path), [])
    prepared = prepare(site, [host for host in site.hosts if host.name in {**servers, **(databases or {})}], True)
    return {name: plan for (name, _), plan in prepared.plans.items()}


def of_kind(plan: HostPlan, kind: type) -> list[Any]:
    found: list[Resource] = [step.resource for step in plan.steps if isinstance(step.resource, kind)]
    return found


def env_of(plan: HostPlan) -> str:
    (file,) = (step.resource for step in plan.steps if step.resource.identity.endswith("/default/server.env"))
    content = file.content  # type: ignore[attr-defined]
    return str(content.reveal() if isinstance(content, Secret) else content)


@pytest.fixture
def a_url(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the variable that URL comes from."""

    def set_url(text: str) -> None:
        secret_sources.fetch.cache_clear()
        monkeypatch.setenv("A_URL", text)

    return set_url


def server(address: str = "192.0.2.1", **settings: Any) -> dict[str, Any]:
    return {"ansible_host": address, **settings}


def test_the_database_s_host_lets_in_exactly_its_servers(tmp_path: Path) -> None:
    servers = {
        "vm1": server(database_host="db1"),
        "vm2": server("192.0.2.2", database_host="db1", database_name="other", database_client_address="10.0.0.2"),
        "vm3": server("192.0.2.3"),
    }
    plan = planned(tmp_path, servers, DB)["db1"]
    rules = [rule.line for rule in of_kind(plan, PostgresHbaRule)]
    assert rules == [
        "host prefect prefect 192.0.2.1/32 scram-sha-256",
        "host other other 10.0.0.2/32 scram-sha-256",
    ]
    (only,) = of_kind(plan, PostgresHbaOnly)
    assert set(only.names) == {rule.name for rule in of_kind(plan, PostgresHbaRule)}
    (port,) = of_kind(plan, FirewallPort)
    assert (port.port, port.sources) == (5432, ("10.0.0.2", "192.0.2.1"))
    assert [role.name for role in of_kind(plan, PostgresRole)] == ["prefect", "other"]
    assert all(role.password for role in of_kind(plan, PostgresRole))
    assert of_kind(plan, PostgresSettings) == [PostgresSettings("main", ("*",), 0)]
    assert of_kind(plan, PostgresExpectation) == [PostgresExpectation("main", 5432, 32, 0)]


def test_the_server_gets_the_url_and_a_probe_before_its_settings(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"vm1": server(database_host="db1")}, DB)["vm1"]
    assert "postgresql+asyncpg://prefect:" in env_of(plan) and "@192.0.2.9:5432/prefect" in env_of(plan)
    (probe,) = of_kind(plan, DatabaseProbe)
    assert (probe.host, probe.port, probe.database_host, probe.connections, probe.version) == (
        "192.0.2.9",
        5432,
        "db1",
        16,
        0,
    )
    order = [step.resource.id for step in plan.steps]
    assert order.index(probe.id) < order.index("File:/etc/prefect/default/server.env")
    assert order.index(probe.id) > order.index("ReleaseLink:/opt/prefect/default")
    assert not of_kind(plan, PostgresRole)


def test_a_host_without_clients_closes_its_port(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"vm1": server()}, DB)["db1"]
    assert of_kind(plan, PostgresHbaOnly) == [PostgresHbaOnly("prefect: ")]
    assert [port.ensure for port in of_kind(plan, FirewallPort)] == ["absent"]
    assert of_kind(plan, PostgresSettings) == []


def test_a_host_may_keep_its_own_database_and_others(tmp_path: Path) -> None:
    both = {"db1": server("192.0.2.9", database_host="db1"), "vm1": server(database_host="db1", database_name="far")}
    plan = planned(tmp_path, both, {"db1": {}})["db1"]
    assert [(role.name, role.password is None) for role in of_kind(plan, PostgresRole)] == [
        ("far", False),
        ("prefect", True),
    ]
    assert env_of(plan).count("host=/var/run/postgresql") == 1


def test_an_instance_with_sqlite_beside_one_with_postgres(tmp_path: Path) -> None:
    instances = {"default": {}, "lite": {"port": 4202, "database": "sqlite"}}
    plan = planned(tmp_path, {"vm1": server(database_host="db1", instances=instances)}, DB)["vm1"]
    (file,) = of_kind(plan, SqliteDatabase)
    assert (file.path, file.owner) == ("/var/lib/prefect/lite/prefect.db", "prefect-lite")
    assert "one writer at a time" in file.warning
    assert len(of_kind(plan, DatabaseProbe)) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"database_host": "db2"}, "db2 is not a host of the group databases (its hosts: db1)"),
        ({"database_host": "db1", **URL}, "database_host contradicts database_url"),
        ({"database": "sqlite", **URL}, "sqlite contradicts database_url"),
        ({"database": "sqlite", "database_host": "db1"}, "sqlite contradicts database_host"),
        ({"database_name": "x", **URL}, "database_name has no effect"),
        ({"database_password": {"env": "A_URL"}}, "has an effect only with database_host"),
        ({"database_cert_file": "hosts.yml", **URL}, "database_cert_file and database_key must be set together"),
        ({"database_tls": "verify", "prefect_version": "2.20.26", **URL}, "verify needs database_ca_file"),
        ({"database_pool_size": 9, "prefect_version": "2.7.12"}, "Prefect 2.7.12 has no database_pool_size"),
        ({"database_client_address": "no name"}, "is not a host name or address"),
        ({"server_environment": {"PREFECT_SQLALCHEMY_POOL_SIZE": "50"}}, "is set by encamp itself"),
        (
            {"server_environment": {"PREFECT_MESSAGING_BROKER": "prefect_redis.messaging"}},
            "PREFECT_MESSAGING_BROKER names prefect_redis, which the server's lock does not have",
        ),
        ({"ansible_host": "127.0.0.1", "public_url": "http://p:4200", "database_host": "db1"}, "database_client_addr"),
        ({"ansible_host": "no-such-host.invalid", "database_host": "db1"}, "cannot be resolved on this machine"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, a_url: Any, settings: dict[str, Any], said: str) -> None:
    a_url("postgresql://u:p@h/db")
    with pytest.raises(EncampError) as caught:
        planned(tmp_path, {"vm1": {**server(), **settings}}, DB)
    assert said in str(caught.value) and caught.value.fix


def test_a_wrong_url_is_told_without_it(tmp_path: Path, a_url: Any) -> None:
    a_url("postgresql://u:hid@den/x@h/db")
    with pytest.raises(SettingsError, match=r"vm1: database_url has characters .* not percent-encoded") as caught:
        planned(tmp_path, {"vm1": server(**URL)})
    assert "den" not in str(caught.value) + caught.value.fix and "%40" in caught.value.fix


@pytest.mark.parametrize(
    ("version", "settings", "lines"),
    [
        ("3.8.8", {}, ["DATABASE_CONNECTION_URL"]),
        ("3.8.8", {"database_tls": "require"}, ["PGSSLMODE=require"]),
        ("3.8.8", {"database_tls": "off"}, ["PGSSLMODE=disable"]),
        ("3.8.8", {"database_tls": "verify"}, ["TLS_ENABLED=true", "TLS_CHECK_HOSTNAME=true"]),
        (
            "3.8.8",
            {"database_tls": "verify", "database_tls_check_hostname": False, "database_ca_file": "ca.pem"},
            ["TLS_CA_FILE=/etc/prefect/default/database-ca.pem", "TLS_CHECK_HOSTNAME=false", "PGSSLMODE=verify-ca"],
        ),
        (
            "2.20.26",
            {"database_tls": "verify", "database_ca_file": "ca.pem"},
            ["PGSSLMODE=verify-full", "PGSSLROOTCERT=/etc/prefect/default/database-ca.pem"],
        ),
        ("3.8.8", {"database_pool_size": 7}, ["SQLALCHEMY_POOL_SIZE=7"]),
    ],
)
def test_tls_and_pool_as_each_release_takes_them(
    tmp_path: Path, a_url: Any, version: str, settings: dict[str, Any], lines: list[str]
) -> None:
    a_url("postgres://u:p@h/db")
    (tmp_path / "hosts.yml").write_text(
        yaml.safe_dump({"all": {"children": {"servers": {"hosts": {"vm1": server(**URL, **settings)}}}}})
    )
    loaded = load_inventory(tmp_path, {"prefect_version": version})
    site = Site(loaded, [])
    found = native.server_settings(site.host("vm1"), site)
    text = "\n".join(f"{name}={value}" for name, value in found.items())
    assert all(line in text for line in lines), text
    assert "ssl=" not in text.lower().replace("pgssl", "")
    assert ("PGSSLMODE" in text) == any("PGSSLMODE" in line for line in lines)


def test_the_url_may_ask_for_tls(tmp_path: Path, a_url: Any) -> None:
    a_url("postgres://u:p@h/db?sslmode=require")
    plan = planned(tmp_path, {"vm1": server(**URL)})["vm1"]
    assert "PGSSLMODE=require" in env_of(plan) and "sslmode" not in env_of(plan)
    plan = planned(tmp_path, {"vm1": server(**URL, database_tls="prefer")})["vm1"]
    assert "PGSSLMODE" not in env_of(plan), "what is set counts more"


def test_the_budget_counts_every_process_of_a_cluster(tmp_path: Path) -> None:
    many = {
        f"vm{number}": server(f"192.0.2.{number}", database_host="db1", database_name=f"p{number}")
        for number in range(1, 8)
    }
    with pytest.raises(SettingsError) as caught:
        planned(tmp_path, many, DB)
    assert "has 97 connections for clients" in str(caught.value) and "112 (vm1 16, vm2 16" in str(caught.value)
    assert "postgres_max_connections: 115 or more for db1" in caught.value.fix
    enough = {"db1": {**DB["db1"], "postgres_max_connections": 115}}
    assert of_kind(planned(tmp_path, many, enough)["db1"], PostgresSettings)[0].max_connections == 115
    laptops = {f"laptop{number}": {"client_mode": "database", "server": "vm1"} for number in range(2)}
    with pytest.raises(SettingsError, match="laptop1 6"):
        planned(tmp_path, many, enough, clients=laptops)


def test_two_servers_share_a_database_only_where_that_is_meant(tmp_path: Path, a_url: Any) -> None:
    two = {"vm1": server(database_host="db1"), "vm2": server("192.0.2.2", database_host="db1")}
    with pytest.raises(SettingsError, match="vm1 and vm2 would use one database"):
        planned(tmp_path, two, DB)
    meant = {name: {**settings, "database_shared": True} for name, settings in two.items()}
    plans = planned(tmp_path, meant, DB)
    assert [of_kind(plans[name], DatabaseProbe)[0].version for name in two] == [140009, 140009]
    assert len(of_kind(plans["db1"], PostgresRole)) == 1 and len(of_kind(plans["db1"], PostgresHbaRule)) == 2
    a_url("postgresql://u:p@H/db")
    with pytest.raises(SettingsError, match="vm1 and vm2 would use one database"):
        planned(tmp_path, {"vm1": server(**URL), "vm2": server("192.0.2.2", **URL)})


def test_where_the_database_s_host_is_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="db1: postgres_address is not set"):
        planned(tmp_path, {"vm1": server(database_host="db1")}, {"db1": {"ansible_host": "127.0.0.1"}})


def test_a_generated_password_is_the_same_for_both_sides(tmp_path: Path) -> None:
    text = {"vm1": server(database_host="db1")}
    (tmp_path / "hosts.yml").write_text(
        yaml.safe_dump({"all": {"children": {"servers": {"hosts": text}, "databases": {"hosts": DB}}}})
    )
    site = Site(load_inventory(tmp_path), [], "make")
    made = database_connection.password(site.host("vm1"), site)
    again = Site(load_inventory(tmp_path), [], "refuse")
    assert database_connection.password(again.host("vm1"), again) == made
    assert len(made.reveal()) >= 32


def test_two_passwords_for_one_role_are_refused(tmp_path: Path, a_url: Any) -> None:
    a_url("other")
    two = {
        "vm1": server(database_host="db1", database_shared=True),
        "vm2": server("192.0.2.2", database_host="db1", database_shared=True, database_password={"env": "A_URL"}),
    }
    with pytest.raises(PlanError, match="PostgresRole:prefect is declared twice"):
        planned(tmp_path, two, DB)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("postgres", "reserved by Postgres"),
        ("pg_own", "reserved by Postgres"),
        ("a/b", "letters, digits"),
        ("é" * 40, "63 bytes"),
    ],
)
def test_names_that_are_taken_or_cannot_stand_in_a_url_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"database_name is .*{reason}"):
        planned(tmp_path, {"vm1": server(database_name=name)})
