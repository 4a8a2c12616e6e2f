"""Ansible Vault, against the real ``ansible-vault`` tool in both directions, and as values of an inventory."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encamp.errors import EncampError, InventoryError
from encamp.inventory import listing
from encamp.inventory.load import Inventory, load_inventory
from encamp.secrets.vault import cipher, passwords
from encamp.secrets.vault.cipher import Identity
from encamp.secrets.vault.values import PASSWORD_FILE, VaultError
from encamp.settings.declare import setting
from encamp.settings.read import HostSettings
from encamp.shared.secret import Secret

PASSWORD = "pa ss'wörd"
ME = Identity("", Secret(PASSWORD))
HOSTILE = "".join(map(chr, range(32, 127))) + "ü\n%s ${x}\n"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Settings of a test."""

    token: Secret | None = setting(None)
    name: str = setting("")
    port: int = setting(1, maximum=65535)
    flag: bool = setting(False)
    numbers: tuple[int, ...] = setting(())
    switch: Literal["auto", "off"] | Secret = setting("off")
    either: str | Secret = setting("")
    url: Secret | None = setting(None)


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No vault password is known unless a test gives one, and none is kept from another test."""
    for name in (*PASSWORD_FILE, passwords.IDENTITIES, passwords.ENCRYPT):
        monkeypatch.delenv(name, raising=False)
    passwords.identities.cache_clear()
    yield
    passwords.identities.cache_clear()


@pytest.fixture
def password_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "vault-password"
    path.write_text(PASSWORD + "\n")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(path))
    return path


def tool(*arguments: str, text: str = "") -> str:
    """The real ``ansible-vault``."""
    program = str(Path(sys.executable).with_name("ansible-vault"))
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [program, *arguments], input=text, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def site(folder: Path, text: str, **files: str) -> Inventory:
    (folder / "hosts.yml").write_text(text)
    for name, content in files.items():
        path = folder / (name.replace("__", "/") + ".yml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return load_inventory(folder)


def indented(text: str, spaces: int) -> str:
    return "".join(" " * spaces + line + "\n" for line in text.splitlines())


def test_the_tool_opens_what_is_encrypted_here(tmp_path: Path, password_file: Path) -> None:
    sealed = tmp_path / "sealed"
    sealed.write_text(cipher.encrypt(HOSTILE, ME))
    assert tool("view", str(sealed)) == HOSTILE


def test_what_the_tool_encrypted_is_opened_here(tmp_path: Path, password_file: Path) -> None:
    sealed = tmp_path / "sealed"
    sealed.write_text(HOSTILE)
    tool("encrypt", str(sealed))
    assert cipher.decrypt(sealed.read_text(), [ME]) == HOSTILE


def test_vault_ids_are_read_and_written(tmp_path: Path, password_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = tmp_path / "sealed"
    sealed.write_text("x")
    tool("encrypt", "--vault-id", f"prod@{password_file}", "--encrypt-vault-id", "prod", str(sealed))
    assert sealed.read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;prod\n")
    other = tmp_path / "other"
    other.write_text("something else")
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE")
    monkeypatch.setenv("ANSIBLE_VAULT_IDENTITY_LIST", f"dev@{other}, prod@{password_file}")
    assert cipher.decrypt(sealed.read_text(), passwords.identities()) == "x"
    sealed.write_text(cipher.encrypt("y", Identity("prod", Secret(PASSWORD))))
    assert tool("view", "--vault-id", f"prod@{password_file}", str(sealed)).strip() == "y"


def test_a_password_file_may_be_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "password.sh"
    program.write_text(f'#!/bin/sh\necho "{PASSWORD}"\n')
    program.chmod(0o700)
    monkeypatch.setenv("ENCAMP_VAULT_PASSWORD_FILE", str(program))
    assert cipher.decrypt(cipher.encrypt("x", ME), passwords.identities()) == "x"


def test_a_single_value_is_a_secret_wherever_one_is_wanted(tmp_path: Path, password_file: Path) -> None:
    sealed = tool("encrypt_string", "hunter:2", "--name", "inner")
    body = sealed.partition("\n")[2]
    text = (
        "all:\n  hosts:\n    h:\n      token: !vault |\n"
        + indented(body, 0)
        + "      either: '{{ token }}'\n      url: 'x://{{ token }}@y'\n      name: '{{ token }}'\n"
    )
    found = HostSettings(site(tmp_path, text).hosts["h"]).read(Wanted)
    assert isinstance(found.token, Secret) and found.token.reveal() == "hunter:2"
    assert isinstance(found.either, Secret) and found.either.reveal() == "hunter:2"
    assert isinstance(found.url, Secret) and found.url.reveal() == "x://hunter:2@y"
    assert found.name == "hunter:2" and "hunter" not in repr(found)


def test_a_whole_file_may_be_encrypted(tmp_path: Path, password_file: Path) -> None:
    sealed = cipher.encrypt("token: hunter2\nport: 80\nname: plain\n", ME)
    found = HostSettings(site(tmp_path, "all: {hosts: {h: }}\n", group_vars__all=sealed).hosts["h"]).read(Wanted)
    assert isinstance(found.token, Secret) and found.token.reveal() == "hunter2"
    assert (found.port, str(found.name)) == (80, "plain")


def test_a_template_in_an_encrypted_file_is_as_secret_as_it(tmp_path: Path, password_file: Path) -> None:
    sealed = cipher.encrypt("token: hunter2@{{ inventory_hostname }}\nn: 80\nport: '{{ n }}'\n", ME)
    loaded = site(tmp_path, "all: {hosts: {h: }}\n", group_vars__all=sealed)
    found = HostSettings(loaded.hosts["h"]).read(Wanted)
    assert isinstance(found.token, Secret) and (found.token.reveal(), found.port) == ("hunter2@h", 80)
    shown = [listing.as_json(loaded), *listing.graph(loaded, variables=True)]
    assert "hunter2" not in "".join(shown)


@pytest.mark.parametrize(
    "template", ["{{ hunter2", "{{ 1 / 0 }}", "{{ nosuch }}", "{{ ''.hunter2 }}", "{{ 1 | hunter2 }}"]
)
def test_a_template_in_an_encrypted_file_that_fails_is_not_repeated(
    tmp_path: Path, password_file: Path, template: str
) -> None:
    sealed = cipher.encrypt(f'token: "hunter2{template}"\n', ME)
    with pytest.raises(EncampError, match=r"all\.yml:1: token: the (encrypted )?template") as caught:
        HostSettings(site(tmp_path, "all: {hosts: {h: }}\n", group_vars__all=sealed).hosts["h"]).read(Wanted)
    assert "hunter2" not in f"{caught.value} {caught.value.fix}"


#: What stands in an encrypted file, and what of it nothing may show.
SCALARS = {
    "digits": ("token: 12345678", "12345678"),
    "digits with a zero before them": ("token: 0123456", "0123456"),
    "a number with underscores": ("token: 12_34_56", "12_34_56"),
    "a decimal": ("token: 3.1415926", "3.1415926"),
    "a date": ("token: 2026-12-01", "2026-12-01"),
    "a time": ("token: 2026-12-01T10:11:12Z", "2026-12-01T10:11:12Z"),
    "hexadecimal": ("token: 0xC0FFEE", "0xC0FFEE"),
    "sexagesimal": ("token: 190:20:30", "190:20:30"),
    "a truth value": ("token: yes", "yes"),
}
INI_SCALARS = {
    "ini: digits": ("[all:vars]\ntoken=12345678\n", "12345678"),
    "ini: a decimal": ("[all:vars]\ntoken=3.1415926\n", "3.1415926"),
    "ini: a Python number": ("[all:vars]\ntoken=12_34_56\n", "12_34_56"),
    "ini: a host's line": ("[servers]\nh token=12345678\n", "12345678"),
}


def sealed_site(folder: Path, text: str) -> Inventory:
    """A site whose file in group_vars is encrypted, or (text in INI) its inventory."""
    if text.startswith("["):
        (folder / "hosts").write_text(cipher.encrypt(text + "[all]\nh\n", ME))
        return load_inventory(folder / "hosts")
    return site(folder, "all: {hosts: {h: }}\n", group_vars__all=cipher.encrypt(text + "\n", ME))


@pytest.mark.parametrize("case", [*SCALARS, *INI_SCALARS])
def test_a_secret_that_yaml_takes_for_no_text(tmp_path: Path, password_file: Path, case: str) -> None:
    text, wanted = {**SCALARS, **INI_SCALARS}[case]
    loaded = sealed_site(tmp_path, text)
    found = HostSettings(loaded.hosts["h"]).read(Wanted)
    assert isinstance(found.token, Secret) and found.token.reveal() == wanted
    told = "".join([listing.as_json(loaded), *listing.graph(loaded, variables=True)])
    assert wanted not in told and "***" in told


@pytest.mark.parametrize(
    "text",
    [
        "inner: 12345678\nname: {t}",
        "inner: {{pin: 12345678, more: [1, 12345678]}}\nx_a: {t}",
        "inner: [12345678, 3.5]\nx_a: {t}",
        "inner: 12345677\nx_a: {t}",
    ],
)
@pytest.mark.parametrize(
    "template", ["{{ inner }}", "{{ inner + 1 }}", "x{{ inner }}", "{{ inner | string }}", "{{ [inner] }}"]
)
def test_numbers_of_an_encrypted_file_are_shown_nowhere(
    tmp_path: Path, password_file: Path, text: str, template: str
) -> None:
    """Nor is what templates of a plain file make of them."""
    plain = f"all: {{vars: {{x_plain: '{template}'}}, hosts: {{h: {{x_other: \"{{{{ hostvars['h'].inner }}}}\"}}}}}}\n"
    sealed = cipher.encrypt(text.format(t=f"'{template}'") + "\n", ME)
    loaded = site(tmp_path, plain, group_vars__all=sealed)
    assert "1234567" not in "".join([listing.as_json(loaded), *listing.graph(loaded, variables=True)])


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("port: 80", "port", 80),
        ("x_a: 79\nport: '{{ x_a + 1 }}'", "port", 80),
        ("x_a: no\nport: '{{ 1 if x_a else 80 }}'", "port", 80),
        ("x_a: [1, 80]\nport: '{{ x_a | max }}'", "port", 80),
        ("flag: yes", "flag", True),
        ("x_a: no\nflag: '{{ not x_a }}'", "flag", True),
        ("numbers: [1, 2]", "numbers", (1, 2)),
        ("switch: off", "switch", "off"),
        ("switch: auto", "switch", "auto"),
        ("switch: 17", "switch", Secret("17")),
        ("either: 17", "either", Secret("17")),
        ("name: 17", "name", "17"),
    ],
)
def test_values_of_an_encrypted_file_keep_their_types(
    tmp_path: Path, password_file: Path, text: str, name: str, value: object
) -> None:
    found = HostSettings(sealed_site(tmp_path, text).hosts["h"]).read(Wanted)
    assert getattr(found, name) == value


@pytest.mark.parametrize(
    "text",
    [
        "port: 12345678.5",
        "port: 12345678",
        "flag: 12345678",
        "numbers: 12345678",
        "token: [12345678]",
        "token: {env: 12345678}",
        "switch: [12345678]",
        "token: !s12345678 x",
        "token: *s12345678",
        "token: !s12345678!x y",
        "x_a: 12345678\nport: '{{ x_a }}5'",
    ],
)
def test_no_error_repeats_a_number_of_an_encrypted_file(tmp_path: Path, password_file: Path, text: str) -> None:
    with pytest.raises(EncampError) as caught:
        HostSettings(sealed_site(tmp_path, text).hosts["h"]).read(Wanted)
    assert "12345678" not in f"{caught.value} {caught.value.fix}"


def test_plain_text_is_still_no_secret(tmp_path: Path) -> None:
    with pytest.raises(EncampError, match="token must not be in the inventory as plain text"):
        HostSettings(site(tmp_path, "all: {hosts: {h: {token: hunter2}}}\n").hosts["h"]).read(Wanted)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ("port: !vault |\n{sealed}", "port must be"),
        ("token: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          zz\n", "token is a damaged vault text"),
        ("token: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          3061\n", "token is a damaged vault text"),
        ("token: !vault |\n          $ANSIBLE_VAULT;1.0;AES\n          3061\n", "token has the vault format 1.0"),
        ("token: !vault hello", "token is not an Ansible Vault text"),
    ],
)
def test_what_cannot_be_used_names_the_line_and_not_the_value(
    tmp_path: Path, password_file: Path, values: str, wanted: str
) -> None:
    sealed = indented(cipher.encrypt("hunter2", ME), 10)
    text = "all:\n  hosts:\n    h:\n      " + values.format(sealed=sealed)
    with pytest.raises(EncampError) as caught:
        HostSettings(site(tmp_path, text).hosts["h"]).read(Wanted)
    assert wanted in str(caught.value) and "hosts.yml:4" in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value.fix}"
    assert "port" in wanted or "encrypt the value again" in caught.value.fix


@pytest.mark.parametrize("password", [None, "another", "", "missing"])
def test_without_the_password_the_error_says_what_to_do(
    tmp_path: Path, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "password"
    if password is not None:
        monkeypatch.setenv("ENCAMP_VAULT_PASSWORD_FILE", str(path))
    if password != "missing":
        path.write_text(password or "")
    loaded = site(tmp_path, "all: {hosts: {h: }}\n")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/h.yml").write_text(cipher.encrypt("token: hunter2", ME))
    with pytest.raises(InventoryError) as caught:
        load_inventory(loaded.path)
    assert "h.yml:1" in str(caught.value) and "ENCAMP_VAULT_PASSWORD_FILE" in caught.value.fix


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_any_text_comes_back(text: str) -> None:
    assert cipher.decrypt(cipher.encrypt(text, ME), [ME]) == text


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_no_damage_is_a_traceback(text: str) -> None:
    for damaged in (f"$ANSIBLE_VAULT;1.1;AES256\n{text}", f"$ANSIBLE_VAULT;{text}", text):
        with pytest.raises(VaultError):
            cipher.decrypt(damaged, [ME])
