"""OpenSSH as the way to hosts that paramiko cannot reach, and what is said of it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from layout import CHECKOUT
from live import LiveLab

from tests.integration.sshds import (
    SETTINGS,
    UNREACHABLE,
    Place,
    new_key,
    refused,
    sshd_host,
    sshd_place,
    well,
)
from tests.integration.test_connections import long_step, wait_for

BY_SSH = "connects with ssh instead of paramiko"


@pytest.fixture(scope="module")
def host(lab: LiveLab) -> Iterator[LiveLab]:
    yield from sshd_host(lab)


@pytest.fixture
def place(host: LiveLab, tmp_path: Path) -> Iterator[Place]:
    yield from sshd_place(host, tmp_path, "auto")


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("KexAlgorithms sntrup761x25519-sha512@openssh.com", "no common key exchange"),
        ("Ciphers chacha20-poly1305@openssh.com", "no common cipher"),
        ("Ciphers aes256-ctr\nMACs umac-128-etm@openssh.com", "no common MAC"),
    ],
)
def test_an_algorithm_that_paramiko_lacks(place: Place, option: str, named: str) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2331, *option.split("\n"))
    theirs = option.split()[-1]
    text = well(place.fab({"vm": place.at(server, key=key)}))
    assert text.count(BY_SSH) == 1 and named in text and f"it offers {theirs}; paramiko has " in text
    done = place.fab({"vm": place.at(server, key=key, transport="paramiko")})
    refused(done, UNREACHABLE, named, f"it offers {theirs}; paramiko has ", "transport: openssh")


def test_one_key_exchange_of_two_names(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2332, "KexAlgorithms curve25519-sha256")
    assert BY_SSH not in well(place.fab({"vm": place.at(server, key=key)}))
    assert BY_SSH not in well(place.fab({"vm": place.at(server, key=key)}, config="KexAlgorithms curve25519-sha256\n"))
    done = place.fab(
        {"vm": place.at(server, key=key, transport="openssh")}, config="KexAlgorithms diffie-hellman-group16-sha512\n"
    )
    refused(done, UNREACHABLE, "in common with this machine's ssh: it offers curve25519-sha256\n")


def test_a_control_master_that_is_open_is_used(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2333)
    variables = place.at(server)  # no key: only the open connection leads there
    folder = tempfile.mkdtemp()  # a socket's path has 108 characters at most
    config = f"""
        ControlMaster auto
        ControlPersist 60
        ControlPath {folder}/%C
        UserKnownHostsFile {variables["known_hosts"]}
        """
    file = place.file("ssh_config", config)
    arguments = ["ssh", "-F", str(file), "-p", str(server.port), "-l", "deploy", place.address]
    subprocess.run([*arguments, "-i", str(key), "-MNf"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    try:
        text = well(place.fab({"vm": variables}, config=textwrap.dedent(config)))
        assert f"{BY_SSH}: a ControlMaster is open ({folder}/" in text
        well(place.fab({"vm": {**variables, "transport": "openssh"}}, config=textwrap.dedent(config)))
        assert server.log.count("Accepted publickey") == 1
    finally:
        subprocess.run([*arguments[:-1], "-O", "exit", place.address], check=True, capture_output=True)
    refused(place.fab({"vm": variables}, config=textwrap.dedent(config)), UNREACHABLE, "refuses the login")


@pytest.mark.parametrize("transport", ["paramiko", "openssh"])
def test_arguments_of_ssh_in_the_inventory(place: Place, transport: str) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    port = {"paramiko": 2340, "openssh": 2342}[transport]
    jump, server = place.sshd(port), place.sshd(port + 1, listen="127.0.0.1")
    known = place.file("known", jump.known() + server.known(f"[127.0.0.1]:{server.port}"))
    hosts = {
        "vm": {
            "ansible_host": "127.0.0.1",
            "ansible_ssh_common_args": f"-J deploy@{place.address}:{port} -o UserKnownHostsFile={known}",
            "ansible_ssh_extra_args": f"-p {server.port} -o StrictHostKeyChecking=no",
            "ansible_ssh_private_key_file": str(key),
            "known_hosts": str(known),
            "transport": transport,
        }
    }
    text = well(place.fab(hosts))
    assert "stricthostkeychecking no has no effect here: encamp's own host_key_checking decides" in text
    assert jump.log.count("Accepted publickey") == server.log.count("Accepted publickey") == 1
    hosts["vm"]["ansible_ssh_extra_args"] = "-W there:22"
    refused(place.fab(hosts), SETTINGS, "hosts.yml:", "ansible_ssh_extra_args", "-W")


@pytest.mark.parametrize("transport", ["paramiko", "openssh"])
def test_a_connection_that_is_closed_in_the_middle(place: Place, transport: str) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2336)
    run = long_step(place, place.at(server, key=key, transport=transport))
    try:
        wait_for(place, "pgrep -f 'sleep [2]99'")
        place.run("pkill -9 -f 'sshd: [d]eploy@notty'")
        told, _ = run.communicate(timeout=60)
        assert told.startswith("unreachable") and "the connection broke before the agent had finished" in told, told
    finally:
        run.kill()
        place.run("pkill -f 'sleep [2]99'")


def test_an_agent_that_is_killed_is_no_broken_connection(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2337)
    run = long_step(place, place.at(server, key=key, transport="openssh", ansible_become=False))
    try:
        wait_for(place, "pgrep -f 'sleep [2]99'")
        place.run("pkill -9 -u deploy -f 'python3 -[I] -S'")
        told, _ = run.communicate(timeout=60)
        assert told.startswith("failed") and "the agent was killed before it had finished" in told, told
    finally:
        run.kill()
        place.run("pkill -f 'sleep [2]99'")


def test_what_a_person_types_after_the_key(place: Place) -> None:
    """A key, and then PAM's question, answered on the terminal: over both ways."""
    key = new_key(place.folder / "key")
    place.trust(key)
    place.write("/etc/ssh/more/password", "deploy:271828")
    place.run("chpasswd < /etc/ssh/more/password; rm /etc/ssh/more/password")
    methods = ("KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive")
    server = place.sshd(2338, *methods)
    for transport in ("paramiko", "openssh"):
        hosts = {"vm": place.at(server, key=key, transport=transport, connect_tries=1)}
        refused(place.fab(hosts), UNREACHABLE, f"with {key}", "keyboard-interactive")
        said, status = on_a_terminal(place, b"Password:", b"271828")
        assert status == 0, said
        assert b"271828" not in said
    assert server.log.count("Accepted keyboard-interactive/pam") == 2


def on_a_terminal(place: Place, question: bytes, answer: bytes) -> tuple[bytes, int]:
    """Run ``fab history`` with the files of the run before on a terminal; answer what is asked there."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(CHECKOUT)
        os.environ.update(ENCAMP_INVENTORY=str(place.folder / "hosts.yml"), SSH_AUTH_SOCK="")
        fab = str(Path(sys.executable).with_name("fab"))
        os.execv(fab, ["fab", "-S", str(place.folder / "ssh_config"), "-H", "vm", "history"])
    said, asked, end = b"", 0, time.monotonic() + 120
    while time.monotonic() < end:
        try:
            said += os.read(terminal, 4096)
        except OSError:
            break
        if said.count(question) > asked:
            asked += 1
            os.write(terminal, answer + b"\n")
    return said, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
