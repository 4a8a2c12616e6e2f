"""What clients are given in each mode, worked out from settings with no host touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fabric
import pytest
import yaml

from encamp.cli.options import Options
from encamp.commands import configure_client, doctor
from encamp.commands.configure_client import ClientOptions
from encamp.errors import SettingsError, UsageError
from encamp.planning import plan
from encamp.resources.base import Resource
from encamp.resources.python.environment import PythonEnv
from encamp.shared.secret import Secret
from roles.client.kinds.api import ClientApi
from roles.client.kinds.ca import ClientCa
from roles.client.kinds.database import ClientDatabase
from roles.client.kinds.installed import ClientPrefect
from roles.client.kinds.profile.prefect_profile import PrefectProfile
from roles.postgres import role as postgres


def items(
    folder: Path, server: dict[str, Any], clients: dict[str, Any], wish: ClientOptions, instance: str = ""
) -> list[Resource]:
    """What laptop1 is to be, in a site with one server."""
    inventory = {
        "databases": {"hosts": {"db1": {"ansible_host": "192.0.2.5"}}},
        "servers": {"hosts": {"vm1": {"ansible_host": "192.0.2.1", **server}}},
        "clients": {"hosts": {"laptop1": {}}, "vars": clients},
    }
    folder.mkdir(exist_ok=True)
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": inventory}}), "utf-8")
    options = Options(fabric.Config(), hosts="laptop1", inventory=str(folder), instance=instance)
    fleet, selected, _ = configure_client.clients(options)
    built = plan.build("laptop1", configure_client.items(selected[0], fleet, options, wish))
    return [step.resource for step in built.steps]


def profiles(found: list[Resource]) -> dict[str, PrefectProfile]:
    return {one.name: one for one in found if isinstance(one, PrefectProfile)}


@pytest.fixture
def secret(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "url").write_text("postgresql://laptops:p%40ss@db:5432/prefect", "utf-8")
    return {"file": str(tmp_path / "url")}


TWO = {"instances": {"personal": {"port": 4202, "database": "sqlite"}, "default": {}}}


def test_each_instance_gives_a_profile_and_the_default_one_is_active(tmp_path: Path) -> None:
    found = profiles(items(tmp_path / "s", TWO, {}, ClientOptions()))
    assert {name: (one.settings["api_url"], one.activate) for name, one in found.items()} == {
        "hosted": ("http://192.0.2.1:4200/api", True),
        "personal": ("http://192.0.2.1:4202/api", False),
    }
    one = profiles(items(tmp_path / "s", TWO, {}, ClientOptions(), "personal"))
    assert {name: profile.activate for name, profile in one.items()} == {"personal": True}
    assert list(profiles(items(tmp_path / "s", TWO, {}, ClientOptions(profile="mine"), "personal"))) == ["mine"]
    assert list(profiles(items(tmp_path / "s", TWO, {"server": "vm1/personal"}, ClientOptions()))) == ["personal"]
    with pytest.raises(UsageError, match="vm1 has no instance persona"):
        items(tmp_path / "s", TWO, {}, ClientOptions(server="vm1/persona"))
    with pytest.raises(UsageError, match="one profile name"):
        items(tmp_path / "s", TWO, {"profile": "team"}, ClientOptions())
    with pytest.raises(UsageError, match="no instance persona"):
        items(tmp_path / "s", TWO, {}, ClientOptions(), "persona")


def test_auth_is_in_the_profile_and_too_old_clients_are_refused(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text("ann:secret", "utf-8")
    found = items(tmp_path / "s", {"auth": {"file": str(tmp_path / "auth")}}, {}, ClientOptions())
    assert profiles(found)["hosted"].settings["client_auth"] == Secret("ann:secret")
    assert profiles(found)["hosted"].required == ("client_auth",)
    assert next(one for one in found if isinstance(one, ClientPrefect)).auth_since == "3.1.8"


def test_a_client_of_a_server_with_tls_of_its_own_gets_the_authority_as_a_file(tmp_path: Path) -> None:
    server = {"tls": "internal", "public_url": "https://prefect.example.com", "auth": "off"}
    (tmp_path / "s/secrets").mkdir(parents=True)
    (tmp_path / "s/secrets").chmod(0o700)
    (tmp_path / "s/secrets/tls-ca").write_text("0" * 64, "utf-8")
    (tmp_path / "s/secrets/tls-ca").chmod(0o600)
    found = items(tmp_path / "s", server, {}, ClientOptions())
    path = "~/.local/share/encamp/ca/hosted-api.pem"
    assert profiles(found)["hosted"].settings["client_tls_ca_file"] == path
    assert [one.content[:27] for one in found if isinstance(one, ClientCa)] == ["-----BEGIN CERTIFICATE-----"]
    assert next(one for one in found if isinstance(one, ClientApi)).ca_file == path


@pytest.mark.parametrize(
    ("server", "reason"),
    [({}, "through a local socket"), ({"database": "sqlite"}, "a file that other machines cannot share")],
)
def test_a_database_for_one_host_alone_is_refused(tmp_path: Path, server: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as refusal:
        items(tmp_path / "s", server, {"client_mode": "database"}, ClientOptions())
    assert "client_database_url" in str(refusal.value.fix) and "hosts.yml" in str(refusal.value)


def test_clients_get_the_servers_own_login_where_it_can_be_used(tmp_path: Path) -> None:
    server = {"database_host": "db1", "database_password": {"file": str(tmp_path / "pw")}}
    (tmp_path / "pw").write_text("p@ss", "utf-8")
    found = items(tmp_path / "s", server, {}, ClientOptions(mode="database"))
    values = profiles(found)["hosted"].settings
    assert values["database_url"] == Secret("postgresql+asyncpg://prefect:p%40ss@192.0.2.5:5432/prefect")
    assert values["database_migrate_on_start"] == "false" and "api_url" not in values
    look = next(one for one in found if isinstance(one, ClientDatabase))
    assert look.way_in == "set client_database_sources: for vm1 and deploy" and look.managed


def test_a_login_for_clients_alone(tmp_path: Path, secret: dict[str, str]) -> None:
    found = profiles(
        items(tmp_path / "s", {}, {"client_mode": "database", "client_database_url": secret}, ClientOptions())
    )
    url = found["hosted"].settings["database_url"]
    assert url == Secret("postgresql+asyncpg://laptops:p%40ss@db:5432/prefect") and "p%40ss" not in repr(found)
    assert found["hosted"].absent == ("api_url", "client_auth")


CA = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"


def test_a_checked_certificate_is_checked_by_clients_too_or_they_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("p@ss", "utf-8")
    (tmp_path / "ca.pem").write_text(CA, "utf-8")
    server = {"database_host": "db1", "database_password": {"file": str(tmp_path / "pw")}, "database_tls": "verify"}
    found = items(
        tmp_path / "s", {**server, "database_ca_file": str(tmp_path / "ca.pem")}, {}, ClientOptions(mode="database")
    )
    profile = profiles(found)["hosted"]
    assert profile.settings["database_tls"] == profile.settings["database_tls_check_hostname"] == "true"
    assert profile.settings["database_tls_ca_file"] == "~/.local/share/encamp/ca/hosted-database.pem"
    assert "database_tls" in profile.required and not {one for one in profile.optional if "tls" in one}


@pytest.mark.parametrize(
    ("host", "query", "tls"),
    [("192.0.2.5", "", "verify"), ("192.0.2.5", "?sslmode=require", "require"), ("db2", "", "prefer")],
)
def test_a_login_for_clients_has_the_tls_of_the_servers_own_postgres(
    tmp_path: Path, host: str, query: str, tls: str
) -> None:
    (tmp_path / "pw").write_text("p@ss", "utf-8")
    (tmp_path / "url").write_text(f"postgresql://laptops:x@{host}:5432/prefect{query}", "utf-8")
    (tmp_path / "ca.pem").write_text(CA, "utf-8")
    server = {"database_host": "db1", "database_password": {"file": str(tmp_path / "pw")}, "database_tls": "verify"}
    server |= {"database_ca_file": str(tmp_path / "ca.pem"), "database_tls_check_hostname": False}
    clients = {"client_mode": "database", "client_database_url": {"file": str(tmp_path / "url")}}
    look = next(
        one for one in items(tmp_path / "s", server, clients, ClientOptions()) if isinstance(one, ClientDatabase)
    )
    assert (look.tls, bool(look.ca_file), look.check_hostname) == (tls, host != "db2", host == "db2")


def test_install_gives_a_client_the_release_of_its_server(tmp_path: Path) -> None:
    def release(clients: dict[str, Any], wish: ClientOptions) -> list[str]:
        found = items(tmp_path / "s", {"prefect_version": "2.20.26"}, clients, wish)
        paths = [one.path for one in found if isinstance(one, PythonEnv)]
        return [path.rpartition("/")[2].partition("-")[0] for path in paths]

    assert release({}, ClientOptions(install=True)) == ["2.20.26"] and release({}, ClientOptions()) == []
    assert release({"prefect_version": "2.7.12"}, ClientOptions(install=True)) == ["2.7.12"]
    assert release({}, ClientOptions(install=True, mode="local")) == ["3.9.1"]


def test_networks_of_clients_are_let_in_to_a_managed_database(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("p@ss", "utf-8")
    server = {"database_host": "db1", "database_password": {"file": str(tmp_path / "pw")}}
    items(tmp_path / "s", {**server, "client_database_sources": ["10.1.0.0/16"]}, {}, ClientOptions())
    options = Options(fabric.Config(), hosts="laptop1", inventory=str(tmp_path / "s"))
    fleet, _, _ = configure_client.clients(options)
    built = plan.build("db1", postgres.for_others(fleet.host("db1"), fleet))
    rules = [step.resource for step in built.steps if step.resource.id.startswith("PostgresHbaRule")]
    assert [vars(rule)["address"] for rule in rules] == ["192.0.2.1/32", "10.1.0.0/16"]
    port = next(step.resource for step in built.steps if step.resource.id.startswith("FirewallPort"))
    assert vars(port)["sources"] == ("10.1.0.0/16", "192.0.2.1")


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (ClientOptions(mode="cloud"), "one of hosted, database, local"),
        (ClientOptions(undo=True, mode="local"), "--undo cannot be combined"),
        (ClientOptions(server="a", api_url="http://b"), "exclude each other"),
        (ClientOptions(mode="local", api_url="http://b"), "uses no server"),
        (ClientOptions(profile="../x"), "--profile '../x': must be at most 64 letters"),
    ],
)
def test_options_that_cannot_be(wish: ClientOptions, reason: str) -> None:
    with pytest.raises(UsageError) as error:
        configure_client.configure_client(Options(fabric.Config()), wish)
    assert reason in f"{error.value} {error.value.fix}"


@pytest.mark.parametrize("name", ["a/b", "-p", ".", "a\nb", "a ", "x" * 65, "(active)"])
def test_a_profile_that_no_file_could_be_called_by_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"hosts\.yml:\d+: profile is "):
        items(tmp_path, {}, {"profile": name}, ClientOptions())


def test_names_that_people_give_profiles_are_taken(tmp_path: Path) -> None:
    for name in ("team", "me@work (new)", "équipe-2", "a.b_c+d"):
        assert set(profiles(items(tmp_path, {}, {"profile": name}, ClientOptions()))) == {name}


def test_the_doctor_refuses_a_server_that_is_not_there_whoever_is_examined(tmp_path: Path) -> None:
    items(tmp_path, {}, {}, ClientOptions())
    options = Options(fabric.Config(), hosts="vm1", inventory=str(tmp_path))
    assert doctor.target_groups(options, (), "vm1", fix=False)
    with pytest.raises(UsageError, match="which server"):
        doctor.target_groups(options, (), "nope", fix=False)
