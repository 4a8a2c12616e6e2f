"""``--set key=value``: typed as the setting is, over everything else, and no way for a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.cli.options import Options
from encamp.commands import deploy, settings
from encamp.commands.load_site import load_site
from encamp.errors import EncampError
from encamp.secrets.vault.values import Decrypted, Encrypted
from encamp.site import SiteHost

SITE = """
all:
  children:
    servers:
      hosts:
        vm1:
          public_url: http://vm1.example.com:4200
          instances: {default: {}, two: {port: 4202, public_url: "http://vm1.example.com:4202"}}
"""


def hosts(place: Path, *pairs: str) -> list[SiteHost]:
    (place / "hosts.yml").write_text(SITE)
    options = Options(config=None, inventory=str(place), overrides=pairs)  # type: ignore[arg-type]  # no connection
    return load_site(options, ("all",))[1]


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("port=many", "--set port: port must be a whole number, not the text 'many'"),
        ("port=70000", "--set port: port is 70000, but must be from 1 to 65535"),
        ("port=", "--set port: port has no value"),
        ("port=[1]", "--set port: port must be a whole number, not the list"),
        ("prot=1", "--set prot: there is no setting prot"),
        ("database=oracle", "--set database: database must be one of postgres, sqlite"),
        (
            "allowed_sources=[10.0.0.0/99]",
            "--set allowed_sources: allowed_sources is wrong: '10.0.0.0/99' is not a network",
        ),
        ("port=4300", "--set port: vm1 (default) and vm1 (two) have the same port"),
        ("allowed_sources=10.0.0.0/8", "--set allowed_sources: allowed_sources must be a list"),
        ("port: 1", "expected key=value"),
        ("=1", "expected key=value"),
        ("a b=1", "--set a b: 'a b' is not a valid name of a setting"),
        ("port={", "--set port:1: "),
        ("all=\udcff", "--set all: bytes that are not text in this locale"),
        ("ansible_password=x", "--set ansible_password: ansible_password must not be on the command line"),
        ("ansible_scp_args=x", "--set ansible_scp_args: ansible_scp_args is not supported"),
    ],
)
def test_what_is_wrong_names_the_option_and_what_is_expected(tmp_path: Path, pair: str, words: str) -> None:
    with pytest.raises(EncampError) as raised:
        hosts(tmp_path, pair)
    assert words in str(raised.value)


@pytest.mark.parametrize("pair", ["database_password=hunter2", "auth=hunter2", "database_key=hunter2"])
def test_a_secret_is_refused_and_not_repeated(tmp_path: Path, pair: str) -> None:
    with pytest.raises(EncampError) as raised:
        hosts(tmp_path, pair)
    said = f"{raised.value} {raised.value.fix}"
    assert "hunter2" not in said and "env: NAME" in said


@pytest.mark.parametrize(
    ("pair", "name", "value"),
    [
        ("server_start_timeout=99", "server_start_timeout", "99"),
        ("prefect_version=3.8.8", "prefect_version", "3.8.8"),
        ("allowed_sources=[192.0.2.0/24, 198.18.0.0/15]", "allowed_sources", "[192.0.2.0/24, 198.18.0.0/15]"),
        ("x_free={a: [1, true, null]}", "x_free", "{a: [1, true, none]}"),
        ("server_log_level={{ 'DEB' ~ 'UG' }}", "server_log_level", "DEBUG"),
        ("database_password={env: PASSWORD}", "database_password", "{env: PASSWORD}"),
    ],
)
def test_a_value_has_its_settings_type_and_beats_files_and_instances(
    tmp_path: Path, pair: str, name: str, value: str
) -> None:
    (host,) = hosts(tmp_path, pair)
    for view in host.instances:
        assert (name, value, f"--set {name}") in settings.rows(view)


def test_what_came_out_of_a_vault_is_not_shown() -> None:
    data = {"user": "u", "password": Decrypted("hunter2"), "list": [Decrypted("hunter2"), Encrypted("$ANSIBLE_VAULT;")]}
    assert settings.shown(data) == '{user: u, password: "***", list: ["***", "***"]}'


def test_settings_name_file_and_line_of_each_instance(tmp_path: Path) -> None:
    (host,) = hosts(tmp_path)
    found = [{name: (value, where) for name, value, where in settings.rows(view)} for view in host.instances]
    assert [rows["port"][0] for rows in found] == ["4200", "4202"]
    assert found[0]["port"][1] == "default" and found[1]["port"][1].endswith("hosts.yml:8")
    assert all(rows["instances"][1].endswith("hosts.yml:8") for rows in found)


@pytest.mark.parametrize("name", ["public_url", "acme_directory", "cors_allowed_origins"])
def test_an_address_that_cannot_be_taken_apart_is_told(tmp_path: Path, name: str) -> None:
    """``urlsplit`` raises for a bracket that is never closed."""
    text = "['http://[']" if name == "cors_allowed_origins" else "'http://['"
    hosts(tmp_path)
    options = Options(config=None, inventory=str(tmp_path), overrides=(f"{name}={text}",))  # type: ignore[arg-type]
    with pytest.raises(EncampError, match=r"Invalid IPv6 URL|must be an address"):
        deploy.prepare(*deploy.load(options, "plan"), True)
