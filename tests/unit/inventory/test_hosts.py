"""How a host of an inventory is reached, and hosts that are named on the command line alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from encamp.errors import InventoryError
from encamp.inventory.load import select_hosts
from tests.trees import write as site
from tests.unit.inventory.test_load import loaded, refusal


def test_connection_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    inventory = loaded(
        tmp_path,
        """\
all:
  hosts:
    plain:
    full:
      ansible_host: 192.0.2.7
      ansible_port: "2222"
      ansible_user: admin
      ansible_ssh_private_key_file: ~/.ssh/id
      ansible_become: false
      ansible_python_interpreter: /usr/bin/python3.11
    numbered:2200:
    this: {ansible_connection: local, ansible_python_interpreter: auto_silent}
""",
    )
    plain, full = inventory.hosts["plain"], inventory.hosts["full"]
    assert (plain.address, plain.port, plain.user, plain.key_file) == ("plain", None, None, None)
    assert (plain.become, plain.python, plain.local) == (True, "python3", False)
    assert (full.address, full.port, full.user, full.key_file) == ("192.0.2.7", 2222, "admin", "/home/me/.ssh/id")
    assert (full.become, full.python) == (False, "/usr/bin/python3.11")
    assert inventory.hosts["numbered"].port == 2200
    assert inventory.hosts["this"].local and inventory.hosts["this"].python == "python3"


def test_a_key_lies_below_the_current_or_the_inventorys_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = loaded(tmp_path / "site", "all: {hosts: {h: {ansible_ssh_private_key_file: keys/id}}}\n")
    monkeypatch.chdir(tmp_path)
    assert inventory.hosts["h"].key_file == str(tmp_path / "site/keys/id")
    site(tmp_path, {"keys/id": "x"})
    assert inventory.hosts["h"].key_file == str(tmp_path / "keys/id")


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("ansible_port: 0", "ansible_port must be a number from 1 to 65535, not 0"),
        ("ansible_port: true", "ansible_port must be a number from 1 to 65535, not true"),
        ("ansible_port: ssh", "ansible_port must be a number from 1 to 65535, not ssh"),
        ("ansible_become: maybe", "ansible_become must be true or false, not maybe"),
        ("ansible_connection: docker", "ansible_connection must be ssh or local, not docker"),
        ("ansible_user: 1000", "ansible_user must be a text (quote it), not 1000"),
        ('ansible_host: "{{ nowhere }}"', "uses nowhere, which is not set"),
    ],
)
def test_selecting_a_host_checks_how_it_is_reached(tmp_path: Path, variable: str, message: str) -> None:
    inventory = loaded(tmp_path, f"all:\n  hosts:\n    good:\n    bad:\n      {variable}\n")
    assert [host.name for host in select_hosts(inventory, "good")] == ["good"]
    with pytest.raises(InventoryError) as caught:
        select_hosts(inventory, "all")
    assert message in caught.value.message and caught.value.where is not None and caught.value.where.line == 5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-J a,b -o 'ProxyCommand=nc %h 22' -4C", ("-J", "a,b", "-o", "ProxyCommand=nc %h 22", "-4C")),
        ("-oPort=3 -i'a key' -p 2222", ("-oPort=3", "-ia key", "-p", "2222")),
        ("hunter2", "without a host or a command"),
        ("-o", "that are complete: -o lacks its argument"),
        ("-W hunter2", "options of ssh of a connection, and -W is not one"),
        ("-Whunter2", "options of ssh of a connection, and -W is not one"),
        ("-vN", "of a connection, and -vN is not one"),
        ("-o 'ProxyCommand=sshpass -p hunter2 ssh", "with closed quotes"),
        ("-o ProxyCommand=x sshpass -p hunter2", "without a host or a command"),
    ],
)
def test_arguments_of_ssh(tmp_path: Path, text: str, found: tuple[str, ...] | str) -> None:
    text_of_site = f"all:\n  hosts:\n    vm:\n      ansible_ssh_extra_args: {json.dumps(text)}\n"
    host = loaded(tmp_path, text_of_site).hosts["vm"]
    if not isinstance(found, str):
        assert host.ssh_options == found
        return
    with pytest.raises(InventoryError) as raised:
        host.check_connection()
    assert found in raised.value.message and raised.value.where is not None and raised.value.where.line == 4
    assert "hunter2" not in f"{raised.value.message} {raised.value.fix}"


ADHOC = "all:\n  vars: {adhoc: true, site: here}\n  hosts:\n    known: {ansible_port: 2200}\n"


@pytest.mark.parametrize(
    ("term", "name", "user", "port"),
    [
        ("vm9", "vm9", None, None),
        ("me@vm9:2222", "vm9", "me", 2222),
        ("192.0.2.1", "192.0.2.1", None, None),
        ("192.0.2.1:2222", "192.0.2.1", None, 2222),
        ("[fe80::1]:2222", "fe80::1", None, 2222),
        ("fe80::1", "fe80::1", None, None),
    ],
)
def test_ad_hoc_hosts(tmp_path: Path, term: str, name: str, user: str | None, port: int | None) -> None:
    [host] = select_hosts(loaded(tmp_path, ADHOC), term)
    assert (host.name, host.user, host.port, host.adhoc) == (name, user, port, True)
    assert host.groups == ("all", "ungrouped") and host.variables["site"].data == "here"


def test_an_ad_hoc_host_has_its_host_vars(tmp_path: Path) -> None:
    inventory = loaded(tmp_path, ADHOC, host_vars__vm9="site: own\nname: '{{ inventory_hostname }}'\n")
    [host] = select_hosts(inventory, "vm9")
    assert (host.variables["site"].data, host.variables["name"].data) == ("own", "vm9")


def test_login_given_with_a_known_host_wins_over_the_inventory(tmp_path: Path) -> None:
    [host] = select_hosts(loaded(tmp_path, ADHOC.replace("adhoc: true", "x: 1")), "root@known:22")
    assert (host.name, host.user, host.port, host.adhoc) == ("known", "root", 22, False)


def test_unknown_hosts_are_refused_with_the_nearest_name_unless_the_site_is_ad_hoc(tmp_path: Path) -> None:
    inventory = loaded(tmp_path, "all: {hosts: {prefect1: , db1: }}\n")
    with pytest.raises(InventoryError) as caught:
        select_hosts(inventory, "prefct1,nobody")
    assert caught.value.message == "the inventory has no host or group prefct1, nobody"
    assert caught.value.fix == "did you mean prefect1?"


def test_adhoc_must_be_a_truth_value(tmp_path: Path) -> None:
    assert "adhoc must be true or false" in refusal(tmp_path, "all: {vars: {adhoc: 'yes'}}\n").message
