"""The names by which Ansible says how a host is reached: several mean the same, and some mean what encamp cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.errors import InventoryError
from encamp.inventory.host import Host
from encamp.inventory.load import load_inventory, select_hosts
from tests.trees import write


def host(folder: Path, line: str, overrides: dict[str, str] | None = None, pattern: str = "h") -> Host:
    """The host ``h`` of an INI inventory with a line of variables."""
    return select_hosts(load_inventory(write(folder, {"hosts": f"[web]\nh {line}\n"}), overrides), pattern)[0]


def test_older_spellings_mean_the_same(tmp_path: Path) -> None:
    found = host(
        tmp_path,
        "ansible_ssh_host=192.0.2.1 ansible_ssh_port=2222 ansible_ssh_user=me ansible_private_key_file=/k "
        "ansible_sudo=yes ansible_become_method=sudo ansible_become_user=root ansible_connection=paramiko",
    )
    assert (found.address, found.port, found.user, found.key_file) == ("192.0.2.1", 2222, "me", "/k")
    assert found.become and not found.local


def test_of_several_spellings_the_one_that_ansible_takes_counts(tmp_path: Path) -> None:
    found = host(
        tmp_path, "ansible_user=new ansible_ssh_user=old ansible_ssh_private_key_file=/a ansible_private_key_file=/b"
    )
    assert (found.user, found.key_file) == ("old", "/a")


def test_the_command_line_beats_every_spelling(tmp_path: Path) -> None:
    line = "ansible_ssh_user=old ansible_ssh_port=22"
    assert host(tmp_path, line, {"ansible_user": "set"}).user == "set"
    found = host(tmp_path, line, pattern="root@h:2200")
    assert (found.user, found.port) == ("root", 2200)


def test_passwords_are_found_by_each_name(tmp_path: Path) -> None:
    variables = host(tmp_path, 'ansible_ssh_pass="{env: A}" ansible_become_pass="{env: B}"').variables
    assert variables["ansible_password"].data == "{env: A}"
    assert variables["ansible_become_password"].data == "{env: B}"
    assert list(variables) == ["ansible_ssh_pass", "ansible_become_pass"], "a listing shows what was written"


@pytest.mark.parametrize("word", ["yes", "True", "1", "on", "y"])
def test_truth_values_as_ansible_writes_them(tmp_path: Path, word: str) -> None:
    assert host(tmp_path, f"ansible_become={word}").become


@pytest.mark.parametrize("name", ["smart", "ssh", "paramiko_ssh", "ansible.builtin.ssh"])
def test_connections_that_are_ssh(tmp_path: Path, name: str) -> None:
    assert not host(tmp_path, f"ansible_connection={name}").local


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        ("ansible_connection=winrm", "ansible_connection must be ssh or local, not winrm", "ssh (default"),
        ("ansible_become_method=doas", "ansible_become_method must be sudo", "nothing else"),
        ("ansible_become_user=deploy", "ansible_become_user must be root", "nothing else"),
        ("ansible_su=yes", "ansible_su is not supported", "set up sudo"),
        ("ansible_host_key_checking=False", "not supported", "accept-new"),
        ("ansible_usr=x", "ansible_usr is not supported", "did you mean ansible_user?"),
        ("ansible_become_passwrd=x", "not supported", "did you mean ansible_become_password?"),
        ("ansible_port=http", "ansible_port must be a number", "SSH port"),
    ],
)
def test_what_encamp_cannot_do_is_named_at_its_line(tmp_path: Path, line: str, message: str, fix: str) -> None:
    with pytest.raises(InventoryError) as caught:
        host(tmp_path, line)
    assert message in caught.value.message and fix in caught.value.fix
    assert caught.value.where is not None and caught.value.where.line == 2


def test_what_changes_nothing_here_is_no_fault(tmp_path: Path) -> None:
    host(
        tmp_path,
        "ansible_ssh_pipelining=yes ansible_shell_type=sh ansible_winrm_transport=ntlm ansible_ssh_retries=3 "
        "ansible_become_exe=/usr/bin/sudo ansible_python_interpreter=auto_silent",
    )


def test_a_method_does_not_matter_without_become(tmp_path: Path) -> None:
    assert not host(tmp_path, "ansible_become=no ansible_become_method=su").become


TEMPLATES = """
all:
  vars: {user_of_all: "{{ lookup('env', 'WHO') }}", shared: "{{ hostvars['db1'].ansible_host }}"}
  children:
    db: {hosts: {db1: {ansible_host: 192.0.2.5, mine: "{{ hostvars[inventory_hostname].ansible_host }}"}}}
    web:
      hosts:
        w1.example.com:
          ansible_user: "{{ user_of_all }}"
          ansible_port: "{{ lookup('ansible.builtin.env', 'PORT', default=22) }}"
          first: "{{ groups['db'][0] }}"
          all: "{{ groups.web | length }} {{ group_names[0] }} {{ inventory_hostname_short }}"
          key: "{{ inventory_dir }}/../keys/k"
          address: "{{ hostvars[groups['db'][0]]['ansible_host'] }}"
          listed: "{{ query('env', 'WHO', 'PORT') }}"
          other: "{{ lookup('vars', 'first') }}"
          absent: "{{ hostvars['db1'].nothing | default('none') }}"
          file: "{{ lookup('file', inventory_dir ~ '/motto') }}"
          loop: "{{ hostvars['w1.example.com'].loop2 }}"
          loop2: "{{ hostvars['w1.example.com'].loop }}"
"""


def test_lookups_groups_and_other_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "me")
    monkeypatch.setenv("PORT", "2200")
    loaded = load_inventory(write(tmp_path, {"hosts.yml": TEMPLATES, "motto": "be kind\n"}) / "hosts.yml")
    found = loaded.hosts["w1.example.com"]
    assert (found.user, found.port) == ("me", 2200)
    names = ("shared", "first", "all", "key", "address", "listed", "other", "absent", "file")
    assert {name: found.variables[name].data for name in names} == {
        "shared": "192.0.2.5",
        "first": "db1",
        "all": "1 web w1",
        "key": f"{tmp_path}/../keys/k",
        "address": "192.0.2.5",
        "listed": ["me", "2200"],
        "other": "db1",
        "absent": "none",
        "file": "be kind",
    }
    assert loaded.hosts["db1"].variables["mine"].data == "192.0.2.5"
    with pytest.raises(InventoryError, match="refers to itself"):
        found.variables["loop"]
