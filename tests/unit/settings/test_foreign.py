"""Variables of other roles are left alone where the site says so; a misspelt name of ours is still found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from encamp.commands.all_settings import ALL_SETTINGS
from encamp.inventory.load import load_inventory
from encamp.settings import foreign
from encamp.settings.check import unknown_keys
from tests.trees import write

SETTINGS = [field.name for cls in ALL_SETTINGS for field in dataclasses.fields(cls)]


def errors(folder: Path, variables: str) -> list[str]:
    """What is said of the unknown variables of a host."""
    loaded = load_inventory(write(folder, {"hosts.yml": "all: {hosts: {h: }}\n", "group_vars/all.yml": variables}))
    return [f"{error.message} {error.fix}" for error in unknown_keys(loaded.hosts["h"], ALL_SETTINGS)]


FOREIGN = [
    "ports",
    "services",
    "databases",
    "servers",
    "packages",
    "users",
    "node_version",
    "postgresql_version",
    "redis_port",
    "nginx_port",
    "log_level",
    "server_name",
    "backup_dir",
    "docker_users",
    "database_user",
    "tls_cert",
    "python_version",
    "work_dir",
    "app_port",
    "bind_address",
    "firewalls",
]
MISSPELT = {
    "prefect_verison": "prefect_version",
    "publc_url": "public_url",
    "public-url": "public_url",
    "publicurl": "public_url",
    "allowed_source": "allowed_sources",
    "worker": "workers",
    "databse": "database",
    "prot": "port",
    "auht": "auth",
    "Port": "port",
    "indx_url": "index_url",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_names_of_other_roles_are_not_taken_for_ours(name: str) -> None:
    assert foreign.misspelt(name, SETTINGS) == ""


@pytest.mark.parametrize("name", MISSPELT)
def test_misspelt_names_are_found(name: str) -> None:
    assert foreign.misspelt(name, SETTINGS) == MISSPELT[name]


def test_a_site_that_says_nothing_refuses_them_and_says_how(tmp_path: Path) -> None:
    found = errors(tmp_path, "ports: [80]\nnginx_user: www\n")
    assert len(found) == 2 and all("unknown_settings: ignore" in text for text in found)


def test_ignored_names_may_be_anything_but_misspelt(tmp_path: Path) -> None:
    text = "unknown_settings: ignore\nports: [80]\nservices: [{name: x}]\nnginx_user: www\nprefect_verison: 3.9.1\n"
    assert errors(tmp_path, text) == ["there is no setting prefect_verison did you mean prefect_version?"]


def test_prefixes_are_left_alone_and_all_else_is_not(tmp_path: Path) -> None:
    found = errors(tmp_path, "unknown_settings: [nginx_, ports]\nports: [80]\nnginx_prot: 1\nother: 1\n")
    assert [text.split()[4] for text in found] == ["other"]


@pytest.mark.parametrize("more", ["x: 1\n", ""])
@pytest.mark.parametrize("value", ["ignored", "true", "[]", "[1]", "['*']", "{nginx_: ignore}", "5"])
def test_what_the_site_cannot_say(tmp_path: Path, value: str, more: str) -> None:
    """Whether or not there is a variable that it is about."""
    found = errors(tmp_path, f"unknown_settings: {value}\n{more}")
    assert len(found) == 1 and "must be refuse, ignore or a list of prefixes, not " in found[0]


@pytest.mark.parametrize("name", ["unknown_setting", "unkown_settings", "unknown-settings", "Unknown_Settings"])
def test_the_name_itself_misspelt_is_the_one_mistake(tmp_path: Path, name: str) -> None:
    found = errors(tmp_path, f"{name}: ignore\nnginx_user: www\nports: [80]\n")
    assert found == [f"there is no setting {name} did you mean unknown_settings?"]


@pytest.mark.parametrize("value", ["[nginx_, docker_]", "['nginx_', 'docker_']", "ignore"])
def test_in_ini_it_reads_as_in_yaml(tmp_path: Path, value: str) -> None:
    text = f"[web]\nh\n[web:vars]\nnginx_user=www\ndocker_x=1\nunknown_settings={value}\n"
    host = load_inventory(write(tmp_path, {"hosts": text})).hosts["h"]
    assert unknown_keys(host, ALL_SETTINGS) == []


def test_what_a_program_tells_of_a_host_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "inv"
    path.write_text('#!/bin/sh\necho \'{"web": ["h"], "_meta": {"hostvars": {"h": {"ami_id": 1, "prot": 2}}}}\'\n')
    path.chmod(0o755)
    found = unknown_keys(load_inventory(path).hosts["h"], ALL_SETTINGS)
    assert [error.message for error in found] == ["there is no setting prot"]
