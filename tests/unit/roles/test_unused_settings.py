"""Settings that nothing reads are told with file and line, before a host is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from encamp.inventory.load import load_inventory
from encamp.site import Site
from roles import stages

HOST = {"ansible_host": "192.0.2.1"}


def told(folder: Path, host: str, servers: dict[str, Any], shared: dict[str, Any] | None = None, **groups: Any) -> str:
    """The warnings of a host; ``shared`` are variables of all hosts."""
    children = {"servers": {"hosts": servers}, **{name: {"hosts": hosts} for name, hosts in groups.items()}}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": shared or {}, "children": children}}))
    site = Site(load_inventory(folder), [])
    return "\n".join(stages.warnings(site.host(host), site))


@pytest.mark.parametrize(
    ("values", "key", "why"),
    [
        ({"database_tls": "verify"}, "database_tls", "through a local socket"),
        ({"database": "sqlite", "database_tls": "verify"}, "database_tls", "the database is a file"),
        ({"database": "sqlite", "database_pool_size": 7}, "database_pool_size", "the database is a file"),
        (
            {"database_host": "db1", "database_ca_file": "ca.pem"},
            "database_ca_file",
            "it requires database_tls: verify",
        ),
        ({"client_database_sources": ["10.0.0.0/8"]}, "client_database_sources", "(database_host)"),
        ({"prefect_image": "prefect:3.8.8"}, "prefect_image", "it is only used with runtime: compose"),
        ({"runtime": "compose", "python": "3.11"}, "python", "the image includes its own"),
        ({"runtime": "compose", "postgres_max_connections": 200}, "postgres_max_connections", "Postgres of a stack"),
        ({"worker_limit": 4}, "worker_limit", "no worker or agent is declared"),
        ({"agents": [{}], "worker_limit": 4}, "worker_limit", "it is used with work_pool:"),
        ({"tls_certificate": "a.pem"}, "tls_certificate", "it requires tls: files, but tls is off"),
        ({"tls_redirect": False}, "tls_redirect", "it requires tls: internal or acme or files"),
        ({"acme_email": "a@example.com"}, "acme_email", "it requires tls: acme, but tls is off"),
        ({"cloud_instance": "i-1"}, "cloud_instance", "it requires cloud: aws or another one"),
    ],
)
def test_a_setting_that_nothing_reads_is_told(tmp_path: Path, values: dict[str, Any], key: str, why: str) -> None:
    found = told(tmp_path, "one", {"one": {**HOST, **values}}, databases={"db1": {"ansible_host": "192.0.2.9"}})
    assert found.count("\n") == 0 and why in found
    line = next(n for n, text in enumerate((tmp_path / "hosts.yml").read_text().splitlines(), 1) if f"{key}:" in text)
    assert f"hosts.yml:{line}: {key} has no effect: " in found


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"database_host": "db1", "database_tls": "verify", "database_ca_file": "ca.pem", "database_pool_size": 7},
        {"database_host": "db1", "client_database_sources": ["10.0.0.0/8"], "python": "3.11"},
        {"runtime": "compose", "prefect_image": "prefect:3.8.8"},
        {"cloud": "gcp", "cloud_instance": "vm-1", "cloud_region": "europe-west1-b"},
        {"runtime": "compose", "python": "3.11", "work_pool": "a", "worker_limit": 4},
        {"public_url": "https://a.example.com", "tls": "acme", "acme_email": "a@example.com", "tls_redirect": True},
    ],
)
def test_settings_that_are_read_are_not(tmp_path: Path, values: dict[str, Any]) -> None:
    databases = {"db1": {"ansible_host": "192.0.2.9"}}
    assert told(tmp_path, "one", {"one": {**HOST, **values}}, databases=databases) == ""


@pytest.mark.parametrize(
    ("group", "values", "key", "owners"),
    [
        ("workers", {"work_pools": {"a": {}}}, "work_pools", "servers"),
        ("workers", {"allowed_sources": ["10.0.0.0/8"]}, "allowed_sources", "servers"),
        ("workers", {"server_environment": {"PREFECT_X": "1"}}, "server_environment", "servers"),
        ("workers", {"client_mode": "database"}, "client_mode", "clients"),
        ("servers", {"client_database_connections": 3}, "client_database_connections", "clients"),
        ("servers", {"database": "sqlite", "postgres_max_connections": 200}, "postgres_max_connections", "Postgres"),
        ("servers", {"database_host": "db1", "postgres_port": 5433}, "postgres_port", "Postgres"),
        ("workers", {"postgres_listen": ["*"]}, "postgres_listen", "Postgres"),
    ],
)
def test_a_setting_of_another_kind_of_host_is_told(
    tmp_path: Path, group: str, values: dict[str, Any], key: str, owners: str
) -> None:
    groups = {"servers": {"vm1": HOST}, "workers": {"w1": {"ansible_host": "192.0.2.3"}}}
    groups |= {"databases": {"db1": {"ansible_host": "192.0.2.9"}}, "clients": {"laptop1": {}}}
    name, given = next(iter(groups[group].items()))
    groups[group] = {name: {**given, **values}}
    found = told(tmp_path, name, **groups)
    assert found.count("\n") == 0 and f"{key} has no effect: it is for " in found and owners in found
    assert f"{name} is none of them" in found and "hosts.yml:" in found


@pytest.mark.parametrize(
    ("values", "port"),
    [
        ({"public_url": "http://p.example.com"}, 80),
        ({"public_url": "http://p.example.com:4200", "port": 4300}, 4200),
        ({"public_url": "http://p.example.com", "bind": "127.0.0.1"}, 0),
        ({"public_url": "https://p.example.com"}, 0),
        ({"public_url": "http://p.example.com:4200"}, 0),
        ({"public_url": "http://p.example.com", "port": 80}, 0),
        ({"port": 4300}, 0),
    ],
)
def test_an_address_at_another_port_is_told(tmp_path: Path, values: dict[str, Any], port: int) -> None:
    found = told(tmp_path, "vm1", {"vm1": {**HOST, **values}})
    assert bool(found) == bool(port) and (not port or f": public_url sends clients to port {port}," in found)


def test_what_stands_for_all_hosts_or_is_read_by_one_is_not_misplaced(tmp_path: Path) -> None:
    shared = {"client_mode": "local", "work_pools": {"a": {}}, "postgres_max_connections": 200, "port": 4300}
    groups = {"servers": {"vm1": HOST}, "workers": {"w1": {"ansible_host": "192.0.2.3", "auth": "off"}}}
    assert told(tmp_path, "w1", groups["servers"], shared, workers=groups["workers"]) == ""
    both = {"vm1": {**HOST, "work_pools": {"a": {}}, "client_mode": "local", "postgres_max_connections": 200}}
    assert told(tmp_path, "vm1", both, workers={"vm1": {}}, clients={"vm1": {}}) == ""


def test_a_line_of_a_group_is_told_where_nobody_reads_it(tmp_path: Path) -> None:
    shared = {"database_tls": "verify", "worker_limit": 4}
    two = {"one": HOST, "two": {"ansible_host": "192.0.2.2", "database_host": "db1"}}
    databases, workers = {"db1": {"ansible_host": "192.0.2.9"}}, {"w1": {"ansible_host": "192.0.2.3", "server": "two"}}
    assert told(tmp_path, "one", two, shared, databases=databases, workers=workers) == ""
    assert told(tmp_path, "w1", two, shared, databases=databases, workers=workers) == ""
    assert "database_tls" in told(tmp_path, "one", {"one": HOST}, shared, databases=databases, workers=workers)
