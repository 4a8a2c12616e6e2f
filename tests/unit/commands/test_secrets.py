"""``fab secrets``: what it tells and refuses, and that no value is ever among it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit import warm_fab

ANSIBLE, VAULT = (Path(sys.executable).with_name(name) for name in ("ansible", "ansible-vault"))
VALUE = "geheim:'\"%{}$x\\ wörd"
HOSTS = """
all:
  vars: {ansible_user: admin}
  children:
    databases: {hosts: {db1: {ansible_host: 192.0.2.5}}}
    servers:
      hosts:
        vm1: {ansible_host: 192.0.2.10, auth: auto, database_host: db1}
        vm2:
          ansible_host: 192.0.2.11
          public_url: http://two.example.com:4200
          database_url: {env: SITE_DATABASE_URL}
          auth: {file: own-auth}
    workers:
      hosts:
        w1: {ansible_host: 192.0.2.12, server: vm1, workers: [{environment: {TOKEN: {command: [no-such-program]}}}]}
    clients: {hosts: {laptop1: {server: vm1}}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    (tmp_path / "own-auth").write_text(f"{VALUE}\n")
    (tmp_path / "own-auth").chmod(0o600)
    (tmp_path / "password").write_text("vault password\n")
    return tmp_path


def fab(site: Path, *words: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if "VAULT" not in name}
    return warm_fab.fab(*words, env={**kept, "ENCAMP_INVENTORY": str(site), "COLUMNS": "200", **environment}, text=text)


def rows(output: str) -> dict[str, list[str]]:
    """The list by name: source, state and use of each."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in output.splitlines():
        if not line.startswith(" "):
            name = line
            found[name] = []
        else:
            found[name].append(line.split(":", 1)[1].strip())
    return found


def test_passwords_of_logins_are_secrets_of_the_site(site: Path) -> None:
    passwords = "{ansible_password: {env: LOGIN_PASSWORD}, ansible_become_password: {file: own-auth}}"
    (site / "hosts.yml").write_text(f"all: {{hosts: {{vm1: {passwords}}}}}\n")
    done = fab(site, "secrets", LOGIN_PASSWORD=VALUE)
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert found["ansible_password"][0].startswith("environment variable LOGIN_PASSWORD, ")
    assert found["ansible_become_password"][0].startswith("file own-auth, ")
    assert all(states[1] == "present" and states[2] == "vm1" for states in found.values())
    assert VALUE not in done.stdout + done.stderr


def test_the_list_names_sources_and_users_and_no_value(site: Path) -> None:
    kept = site / "secrets" / "vm1+default+api-auth"
    kept.parent.mkdir(mode=0o700)
    kept.write_text("hunter2-hunter2\n")
    kept.chmod(0o600)
    os.utime(kept, (1, 1))
    (kept.parent / "gone+default+api-auth").write_text("left\n")
    done = fab(site, "secrets", SITE_DATABASE_URL="postgresql://u:hidden@h/d")
    assert done.returncode == 0, done.stderr
    found, words = rows(done.stdout), done.stdout + done.stderr
    assert found["vm1/default/api-auth"][0] == f"secrets: {kept}"
    assert "days ago" in found["vm1/default/api-auth"][1]
    assert found["vm1/default/api-auth"][2] == "vm1, w1 (auth: basic auth of vm1); clients laptop1"
    assert found["db1/postgres/prefect"][1] == "absent: the next `fab deploy` generates it"
    assert found["database_url"] == [f"environment variable SITE_DATABASE_URL, {site}/hosts.yml:12", "present", "vm2"]
    assert found["auth"] == [f"file own-auth, {site}/hosts.yml:13", "present", "vm2"]
    assert found["workers[0].environment.TOKEN"][1] == "absent"
    assert found["gone+default+api-auth"][2] == "not used"
    for value in ("hunter2", "hidden", VALUE, "geheim"):
        assert value not in words


def test_each_may_be_tried(site: Path) -> None:
    done = fab(site, "secrets", "list", "--test")
    assert done.returncode == 4
    found = rows(done.stdout)
    assert found["auth"][1] == "present" and "geheim" not in done.stdout
    assert found["database_url"][1].startswith("cannot be fetched: it comes from the environment variable")
    assert found["workers[0].environment.TOKEN"][1] == (
        "cannot be fetched: it comes from the command no-such-program: No such file or directory"
    )


def test_a_file_that_others_can_read_is_named(site: Path) -> None:
    (site / "own-auth").chmod(0o644)
    assert "readable by others" in rows(fab(site, "secrets").stdout)["auth"][1]


@pytest.mark.parametrize(
    ("name", "reason", "fix"),
    [
        ("database_url", "from environment variable SITE_DATABASE_URL", "change it in Postgres; then set the variable"),
        ("auth", "it comes from file own-auth", "then `fab deploy`, then `fab configure-client` for every client"),
        ("workers[0].environment.TOKEN", "from command no-such-program", "change it where no-such-program reads it"),
        ("vm1/default/api-auth", "is not on this machine", "run `fab deploy` to generate it"),
        ("vm1/default/api-aut", "no secret vm1/default/api-aut", "did you mean vm1/default/api-auth?"),
    ],
)
def test_what_cannot_be_rotated_is_refused_with_what_to_do(site: Path, name: str, reason: str, fix: str) -> None:
    done = fab(site, "secrets", "rotate", name)
    assert done.returncode in (1, 4) and reason in done.stderr and fix in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (site / "secrets").exists()


def test_a_task_of_the_group_needs_the_group(site: Path) -> None:
    done = fab(site, "rotate", "x")
    assert done.returncode == 1 and "run `fab secrets rotate`" in done.stderr + done.stdout


# -- values for a vault ------------------------------------------------------------------------------------------------


def test_ansible_reads_an_encrypted_value(site: Path) -> None:
    password = {"ANSIBLE_VAULT_PASSWORD_FILE": str(site / "password")}
    done = fab(site, "secrets", "encrypt", "--name", "token", text=f"{VALUE}\n", **password)
    assert done.returncode == 0 and done.stdout.startswith("token: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n")
    (site / "vars.yml").write_text(done.stdout)
    look = [str(ANSIBLE), "localhost", "-i", "localhost,", "-e", f"@{site}/vars.yml", "-m", "debug", "-a"]
    environment = {**os.environ, **password, "LC_ALL": "C.UTF-8", "ANSIBLE_LOCALHOST_WARNING": "false"}
    told = subprocess.run(
        [*look, "msg={{ token | b64encode }}"], env=environment, capture_output=True, text=True, check=True
    )
    import base64

    assert base64.b64encode(VALUE.encode()).decode() in told.stdout, told.stdout


def test_an_encrypted_value_is_a_setting(site: Path) -> None:
    password = {"ANSIBLE_VAULT_PASSWORD_FILE": str(site / "password")}
    block = fab(site, "secrets", "encrypt", "--name", "auth", text="admin:in-the-vault", **password).stdout
    (site / "host_vars").mkdir()
    (site / "host_vars/vm2.yml").write_text(block)
    done = fab(site, "secrets", **password)
    assert rows(done.stdout)["auth"] == [f"Ansible Vault, {site}/host_vars/vm2.yml:1", "present", "vm2"], done.stderr
    refused = fab(site, "secrets", "rotate", "auth", **password)
    assert "put the text that `fab secrets encrypt` prints into" in refused.stderr
    locked = fab(site, "secrets")
    assert locked.returncode == 4 and "no vault password is known" in locked.stderr
    assert "in-the-vault" not in done.stdout + refused.stderr + locked.stderr


def test_one_of_several_passwords(site: Path) -> None:
    """A password client is told which vault id is wanted, here and by the real tool."""
    client = site / "keyring-client.sh"
    client.write_text('#!/bin/sh\n[ "$1" = --vault-id ] && [ "$2" = prod ] || exit 2\necho "of $2"\n')
    client.chmod(0o700)
    listed = {"ANSIBLE_VAULT_IDENTITY_LIST": f"dev@{site}/password, prod@{client}"}
    unclear = fab(site, "secrets", "encrypt", text="x", **listed)
    assert unclear.returncode == 1 and "(known: dev, prod); choose one with --vault-id ID" in unclear.stderr
    done = fab(site, "secrets", "encrypt", "--vault-id", "prod", text=VALUE, **listed)
    assert "$ANSIBLE_VAULT;1.2;AES256;prod\n" in done.stdout, done.stderr
    sealed = site / "sealed"
    sealed.write_text("".join(line.strip() + "\n" for line in done.stdout.splitlines()[1:]))
    environment = {**os.environ, **listed, "LC_ALL": "C.UTF-8"}
    told = subprocess.run(
        [str(VAULT), "view", str(sealed)], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert told.stdout.removesuffix("\n") == VALUE


def test_a_password_that_cannot_be_had_costs_its_values_alone(site: Path) -> None:
    listed = {"ANSIBLE_VAULT_IDENTITY_LIST": f"dev@{site}/none,prod@{site}/password"}
    done = fab(site, "secrets", "encrypt", text="x", **listed)
    assert done.returncode == 0 and f"warning: a vault needs the vault password file {site}/none" in done.stderr
    asked = fab(site, "secrets", "encrypt", text="x", ANSIBLE_VAULT_IDENTITY_LIST="dev@prompt")
    assert asked.returncode == 1 and "from a prompt, and there is no terminal" in asked.stderr


@pytest.mark.parametrize(("text", "reason"), [("", "there is no value"), ("\n", "there is no value"), ("a\0b", "NUL")])
def test_what_is_no_value_is_refused(site: Path, text: str, reason: str) -> None:
    password = {"ANSIBLE_VAULT_PASSWORD_FILE": str(site / "password")}
    done = fab(site, "secrets", "encrypt", text=text, **password)
    assert done.returncode == 1 and reason in done.stderr and not done.stdout
