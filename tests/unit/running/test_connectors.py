"""What is found out about connections before any host is connected to, and what a message of it shows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import fabric
import pytest

from encamp.errors import EncampError, SettingsError
from encamp.inventory.load import load_inventory
from encamp.running import passwords as passwords_asked
from encamp.running.connectors import SshConnector
from encamp.secrets.vault import cipher, passwords
from encamp.shared.secret import Secret
from encamp.site import Site
from tests.trees import write


@pytest.fixture(autouse=True)
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "password").write_text("p")
    monkeypatch.setenv("ENCAMP_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("SSH_AUTH_SOCK", "")
    passwords.identities.cache_clear()
    yield
    passwords.identities.cache_clear()


def prepared(folder: Path, second: str, config: fabric.Config | None = None, **files: str) -> SshConnector:
    """The connector of two hosts; what is wrong is the second one's, in line 5."""
    text = f"all:\n  hosts:\n    vm1: {{ansible_host: 192.0.2.1}}\n    vm2:\n      {second}\n      x_b: 1\n"
    files = {name.replace("__", "/") + ".yml": content for name, content in files.items()}
    site = Site(load_inventory(write(folder / "site", {"hosts.yml": text, **files})), [])
    return SshConnector(site, config or fabric.Config(), hosts=["vm1", "vm2"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nosuch", None, "nosuch: No such file or directory"),
        ("key", "hello", "key is not a private key"),
        ("key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "key is a damaged"),
    ],
)
@pytest.mark.parametrize("variable", ["ansible_ssh_private_key_file", "ansible_private_key_file"])
def test_a_key_that_cannot_be_used_is_found_first(
    tmp_path: Path, name: str, content: str | None, words: str, variable: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SettingsError) as caught:
        prepared(tmp_path, f"{variable}: {tmp_path}/{name}")
    assert words in caught.value.message and str(caught.value.where).endswith("site/hosts.yml:5")
    assert "ansible_ssh_private_key_file" in caught.value.fix and caught.value.exit_code == 4


def test_a_key_of_the_command_line_as_well(tmp_path: Path) -> None:
    config = fabric.Config(overrides={"connect_kwargs": {"key_filename": [str(tmp_path / "nosuch")]}})
    with pytest.raises(SettingsError, match="nosuch: No such file") as caught:
        prepared(tmp_path, "x_a: 1", config)
    assert caught.value.where is None


def test_a_key_of_fabrics_own_configuration_may_be_one_text(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    config = fabric.Config(overrides={"connect_kwargs": {"key_filename": str(tmp_path / "key")}})
    found = prepared(tmp_path, "x_a: 1", config)
    assert found._address(found._site.host("vm2")).policy.keys == (str(tmp_path / "key"),)


def test_a_question_of_a_host_does_nothing_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or "x")
    passwords_asked._ask("you@vm1: \x1b[2JPassword: ")
    assert asked == ["you@vm1: \\x1b[2JPassword: "]


SEALED = "sealed: hunter2 S3cretWord\n"


@pytest.mark.parametrize(
    "arguments",
    [
        "-o Compression={{ sealed.split()[0] }}",
        "-o {{ sealed.split()[0] }}=yes",
        "-p {{ sealed.split()[0] }}",
        "-o ProxyCommand='sshpass -p {{ sealed }}",
        "{{ sealed }}",
        "-o IdentityAgent={{ sealed.split()[0] }} -o RevokedHostKeys={{ sealed.split()[1] }}",
    ],
)
def test_no_message_repeats_secret_arguments_of_ssh(tmp_path: Path, arguments: str) -> None:
    sealed = cipher.encrypt(SEALED, cipher.Identity("", Secret("p")))
    told = ""
    try:
        second = f'ansible_ssh_common_args: "{arguments}"\n      transport: paramiko'
        told = str(prepared(tmp_path, second, group_vars__all=sealed).warnings)
    except EncampError as error:
        told = f"{error.message} {error.fix}"
    assert told and "hunter2" not in told and "S3cret" not in told


def test_a_directive_without_effect_shows_no_password(tmp_path: Path) -> None:
    """Written in plain text, as people have it."""
    arguments = "-o LocalCommand='curl -u me:hunter2 x' -o PermitLocalCommand=yes"
    found = prepared(tmp_path, f"ansible_ssh_common_args: {arguments}")
    assert "localcommand curl ... has no effect here" in str(found.warnings) and "hunter2" not in str(found.warnings)
