"""known_hosts files, written by ssh-keygen where it writes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from encamp.errors import HostKeyRejected
from encamp.ssh.config import Hop
from encamp.ssh.host_keys import HostKeys
from encamp.ssh.known_hosts import PublicKey, write_down

OFFERED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")


def new_key(folder: Path, name: str, kind: str = "ed25519") -> PublicKey:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / name)], check=True)
    return PublicKey(*(folder / f"{name}.pub").read_text("utf-8").split()[:2])


def hop(port: int = 22, host: str = "vm1") -> Hop:
    return Hop(host, host, port, "root")


def on_record(folder: Path, text: str, at: Hop) -> HostKeys:
    (folder / "known").write_text(text, "utf-8")
    return HostKeys(at, [str(folder / "known"), str(folder / "nosuch")])


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    key = new_key(tmp_path, "key")
    told = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "key.pub")], capture_output=True, text=True, check=True)
    assert key.fingerprint == told.stdout.split()[1]


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ("vm1", True),
        ("other,vm1", True),
        ("vm?", True),
        ("vm*,!vm1", False),
        ("vm2", False),
        ("|1|damaged", False),
        ("VM1", True),
        ("VM*", True),
        ("[vm1]:22", False),
    ],
)
def test_names(tmp_path: Path, names: str, known: bool) -> None:
    key = new_key(tmp_path, "key")
    assert on_record(tmp_path, f"{names} {key.type} {key.text} a comment\n", hop()).is_known(key) is known


#: Lines that OpenSSH passes over, and what others write into the file.
ODD = {
    "cut off": "vm1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
    "no key": "vm1 ssh-ed25519 hello",
    "another type inside": "vm1 ssh-rsa {key}",
    "SSH 1": "vm1 1024 35 12345678901234567890123",
    "an unknown marker": "@nosuch vm1 ssh-ed25519 {key}",
    "a marker alone": "@cert-authority",
    "two words": "vm1 ssh-ed25519",
    "a comment": "   # vm1 ssh-ed25519 {key}",
    "no text": "vm1 ssh-ed25519 \u00e9\u00df",
    "binary": "\0\1\2 \0 \0",
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("odd", ODD)
def test_odd_lines_prove_nothing_and_stop_nothing(tmp_path: Path, odd: str, end: str) -> None:
    key = new_key(tmp_path, "key")
    line = ODD[odd].format(key=key.text)
    other = new_key(tmp_path, "other")
    assert not on_record(tmp_path, line + end, hop()).is_known(key)
    assert on_record(tmp_path, f"{line}{end}vm1 {key.type} {key.text}{end}", hop()).is_known(key)
    with pytest.raises(HostKeyRejected, match="has changed"):
        on_record(tmp_path, f"vm1 {other.type} {other.text}{end}{line}{end}", hop()).is_known(key)


def test_a_type_that_nobody_knows_is_a_key_on_record(tmp_path: Path) -> None:
    blob = b"\0\0\0\x09ssh-newpq\0\0\0\4aaaa"
    new = PublicKey.from_blob(blob)
    key = new_key(tmp_path, "key")
    both = on_record(tmp_path, f"vm1 {new.type} {new.text}\nvm1 {key.type} {key.text}\n", hop())
    assert both.is_known(key) and both.algorithms(OFFERED)[0] == "ssh-ed25519"
    with pytest.raises(HostKeyRejected, match="on record ssh-newpq"):
        on_record(tmp_path, f"vm1 {new.type} {new.text}\n", hop()).is_known(key)


def test_hashed_names_and_other_ports(tmp_path: Path) -> None:
    key = new_key(tmp_path, "key")
    text = f"[vm1]:2222 {key.type} {key.text}\n"
    (tmp_path / "hashed").write_text(text, "utf-8")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(tmp_path / "hashed")], check=True, capture_output=True)
    hashed = (tmp_path / "hashed").read_text("utf-8")
    assert "vm1" not in hashed
    assert on_record(tmp_path, hashed, hop(2222)).is_known(key)
    assert not on_record(tmp_path, hashed, hop()).is_known(key)
    assert on_record(tmp_path, f"[vm*]:2222 {key.type} {key.text}\n", hop(2222)).is_known(key)
    # Recorded without the port it counts if it is the one, and is no proof of a change if not.
    assert on_record(tmp_path, f"vm1 {key.type} {key.text}\n", hop(2222)).is_known(key)
    assert not on_record(tmp_path, f"vm1 {key.type} {key.text}\n", hop(2222)).is_known(new_key(tmp_path, "other"))


def test_a_changed_key_names_both_and_the_line(tmp_path: Path) -> None:
    old, new = new_key(tmp_path, "old"), new_key(tmp_path, "new")
    found = on_record(tmp_path, f"# first\nvm1 {old.type} {old.text}\n", hop())
    with pytest.raises(HostKeyRejected) as raised:
        found.is_known(new)
    assert old.fingerprint in raised.value.message and new.fingerprint in raised.value.message
    assert f"{tmp_path}/known:2" in raised.value.message and "ssh-keygen -R vm1" in raised.value.fix


def test_a_revoked_key_is_refused_though_it_is_on_record(tmp_path: Path) -> None:
    key = new_key(tmp_path, "key")
    line = f"vm1 {key.type} {key.text}\n"
    with pytest.raises(HostKeyRejected, match="revoked"):
        on_record(tmp_path, line + f"@revoked * {key.type} {key.text}\n", hop()).is_known(key)


def test_types_on_record_are_asked_for_first(tmp_path: Path) -> None:
    rsa = new_key(tmp_path, "rsa", "rsa")
    found = on_record(tmp_path, f"vm1 {rsa.type} {rsa.text}\n", hop())
    assert found.algorithms(OFFERED) == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519", "ecdsa-sha2-nistp256")
    assert on_record(tmp_path, "", hop()).algorithms(OFFERED) == OFFERED
    authority = on_record(tmp_path, f"@cert-authority vm* {rsa.type} {rsa.text}\n", hop())
    assert authority.algorithms(OFFERED)[0] == "ssh-ed25519-cert-v01@openssh.com"
    assert not authority.is_known(rsa), "an authority's key is no host's"


def test_a_recorded_key_is_found_again(tmp_path: Path) -> None:
    key, file = new_key(tmp_path, "key"), tmp_path / "deep" / "known"
    write_down(hop(2222), key, str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert HostKeys(hop(2222), [str(file)]).is_known(key)
    found = subprocess.run(["ssh-keygen", "-F", "[vm1]:2222", "-f", str(file)], capture_output=True, check=False)
    assert found.returncode == 0
