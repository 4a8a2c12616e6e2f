"""When ``ssh`` is the way to a host by itself."""

from __future__ import annotations

import base64
import socket
import subprocess
from pathlib import Path

import pytest

from encamp.ssh import config
from encamp.ssh.target import Address, Policy
from encamp.ssh.ways import why_openssh


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "")


def address(tmp_path: Path, text: str = "", keys: tuple[str, ...] = ()) -> Address:
    file = tmp_path / f"config{len(list(tmp_path.iterdir()))}"  # what ssh says of a file is kept
    file.write_text(text + "\nHost *\n  Port 22\n", "utf-8")
    return Address(config.route("vm", "deploy", None, str(file)), Policy(keys=keys), 1, str(file))


def hardware_key(path: Path) -> Path:
    """The public half of a key of a token; no token is needed for that."""
    parts = (b"sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:")
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    path.with_suffix(".pub").write_text(f"{parts[0].decode()} {base64.b64encode(blob).decode()} me\n", "utf-8")
    return path


def test_paramiko_will_do(tmp_path: Path) -> None:
    assert why_openssh(address(tmp_path, "KexAlgorithms curve25519-sha256\nControlPath none\n")) == ""


def test_a_directive_or_an_algorithm_that_only_ssh_has(tmp_path: Path) -> None:
    found = why_openssh(address(tmp_path, "PKCS11Provider /usr/lib/opensc.so"))
    assert found == f"only ssh obeys pkcs11provider /usr/lib/opensc.so ({tmp_path}/config0:1)"
    assert "leaves no usable algorithm" in why_openssh(address(tmp_path, "Ciphers chacha20-poly1305@openssh.com"))


def test_a_hardware_key_that_is_named(tmp_path: Path) -> None:
    key = hardware_key(tmp_path / "token")
    assert why_openssh(address(tmp_path, keys=(str(key),))) == f"paramiko cannot use the hardware key {key}"
    plain = tmp_path / "plain"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(plain)], check=True)
    assert why_openssh(address(tmp_path, keys=(str(plain),))) == ""


def test_a_socket_that_nothing_answers_is_no_master(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "dead"))
    assert why_openssh(address(tmp_path, f"ControlPath {tmp_path}/dead")) == ""
