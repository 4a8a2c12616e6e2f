"""Connections, each with the real thing: sshd as its owner set it up, ssh-agent, keys and certificates of ssh-keygen.

What both ways to a host can do, paramiko and OpenSSH, runs over both.
"""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from layout import CHECKOUT
from live import LiveLab

from tests.integration.sshds import (
    PASSWORD,
    SETTINGS,
    UNREACHABLE,
    Fab,
    Place,
    agent,
    fingerprint,
    keygen,
    new_key,
    public,
    refused,
    sshd_host,
    sshd_place,
    well,
)

BOTH_WAYS = pytest.mark.parametrize("transport", ["paramiko", "openssh"])


@pytest.fixture(scope="module")
def host(lab: LiveLab) -> Iterator[LiveLab]:
    yield from sshd_host(lab)


@pytest.fixture
def transport() -> str:
    return "paramiko"


@pytest.fixture
def place(host: LiveLab, tmp_path: Path, transport: str) -> Iterator[Place]:
    yield from sshd_place(host, tmp_path, transport)


# -- ssh_config -------------------------------------------------------------------------------------------------------


def test_ssh_config_is_read_as_openssh_reads_it(place: Place) -> None:
    key = new_key(place.folder / "web-key")
    place.trust(key)
    server = place.sshd(2301)
    place.file("known", server.known("the-web"))
    place.file("more.conf", f"Host web*\n    Port {server.port}\n    HostKeyAlias the-web\n")
    before = place.address.rpartition(".")[0]
    config = f"""
        Include {place.folder}/mo*.conf
        Match originalhost web1 exec "test %n = web1 -a -e {place.folder}/known"
            IdentityFile "{place.folder}/web-%u.%n"
        Match host "{before}.*" user deploy
            IdentityFile {place.folder}/%n-key
            IdentitiesOnly yes
        Match exec "false"
            Port 1
        Match final originalhost web
            UserKnownHostsFile {place.folder}/%k {place.folder}/known
        Host w?b !web1
            HostName {before}.{place.address.rpartition(".")[2]}
            User deploy
        """
    done = place.fab({"web": {"ansible_user": ""}}, config=textwrap.dedent(config))
    well(done)
    assert "Accepted publickey for deploy from" in server.log and "ED25519" in server.log


@BOTH_WAYS
def test_jump_hosts_in_a_chain(place: Place) -> None:
    inner, outer = new_key(place.folder / "inner"), new_key(place.folder / "outer")
    place.trust(inner, outer)
    first = place.sshd(2302)
    second = place.sshd(2303, listen="127.0.0.1")
    last = place.sshd(2304, listen="127.0.0.1")
    known = "".join([first.known(), second.known("[127.0.0.1]:2303"), last.known("[127.0.0.1]:2304")])
    config = f"""
        Host target
            HostName 127.0.0.1
            Port 2304
            ProxyJump first,deploy@second
            IdentityFile {inner}
        Host first second
            User deploy
            IdentityFile {outer}
        Host first
            HostName {place.address}
            Port 2302
        Host second
            HostName 127.0.0.1
            Port 2303
        Host *
            IdentitiesOnly yes
            UserKnownHostsFile {place.file("known", known)}
        """
    well(place.fab({"target": {}}, config=textwrap.dedent(config)))
    for server in (first, second, last):
        assert server.log.count("Accepted publickey") == 1
    assert "from 127.0.0.1" in second.log and "from 127.0.0.1" in last.log

    # A key that has changed is noticed at each hop, and the hop is named.
    place.file("known", known.replace(first.known().split()[2], public(inner).split()[1]))
    refused(place.fab({"target": {}}, config=textwrap.dedent(config)), UNREACHABLE, ":2302 has changed")
    place.file("known", known)
    second.stop()
    done = place.fab({"target": {"connect_tries": 1}}, config=textwrap.dedent(config))
    refused(done, UNREACHABLE, "jump host second", "cannot be reached from the jump host")


@BOTH_WAYS
def test_a_proxy_command(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2305)
    known = place.file("known", server.known("far"))
    config = f"""
        Host far
            ProxyCommand {sys.executable} {CHECKOUT}/tests/lab/pipe.py {place.address} %p
            Port 2305
            HostName far
            HostKeyAlias far
            UserKnownHostsFile {known}
            IdentityFile {key}
        Host broken
            ProxyCommand echo the broker is away >&2; exit 1
        Host silent
            ProxyCommand sleep 100
        """
    well(place.fab({"far": {}}, config=textwrap.dedent(config)))
    done = place.fab({"broken": {"connect_tries": 1}}, config=textwrap.dedent(config))
    refused(done, UNREACHABLE, "the broker is away")
    done = place.fab({"silent": {"connect_tries": 1, "connect_timeout": 1}}, config=textwrap.dedent(config))
    refused(done, UNREACHABLE, "does not answer within 1 s")


def test_jump_hosts_that_lead_in_a_circle(place: Place) -> None:
    refused(place.fab({"a": {}}, config="Host *\n  ProxyJump b\n"), SETTINGS, "jumphost loop via b")


def test_what_is_not_obeyed_is_told_before_any_host_is_touched(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2306)
    config = """
        Host one
            PKCS11Provider /usr/lib/opensc.so
        Host other
            RemoteCommand true
        Host *
            StrictHostKeyChecking no
            GSSAPIAuthentication yes
            ControlMaster auto
            ForwardAgent yes
        """
    hosts = {"one": place.at(server, key=key), "two": place.at(server, key=key)}
    config = textwrap.dedent(config).replace("Host one", f"Host {place.address}")
    text = well(place.fab(hosts, config=config))
    told = [line for line in text.splitlines() if line.startswith("warning:")]
    assert len(told) == 3, text
    assert f"warning: one, two: {place.folder}/ssh_config:3: pkcs11provider /usr/lib/opensc.so" in text
    assert "ssh_config:7: stricthostkeychecking no has no effect here: encamp's own host_key_checking decides" in text
    assert "ssh_config:8: gssapiauthentication yes" in text

    before = server.log
    revoked = f"Host *\n  RevokedHostKeys {place.file('revoked', server.known())}\n"
    refused(
        place.fab(hosts, config=revoked), SETTINGS, "ssh_config:2: revokedhostkeys", "@revoked", "transport: openssh"
    )
    refused(place.fab(hosts, config="Host *\n  Prot 22\n"), SETTINGS, "ssh_config", "line 2", "prot")
    refused(
        place.fab(hosts, config="Host *\n  Ciphers chacha20-poly1305@openssh.com\n"), SETTINGS, "ciphers", "aes256-ctr"
    )
    assert server.log == before
    well(place.fab(hosts, config="Host *\n  Ciphers aes256-gcm@openssh.com\n  KexAlgorithms ecdh-sha2-nistp256\n"))


# -- Keys -------------------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_keys_of_ssh_agent(place: Place) -> None:
    keys = [new_key(place.folder / f"key{number}") for number in range(4)]
    server = place.sshd(2307, "MaxAuthTries 3")
    place.trust(keys[3])
    with agent(place.folder, *keys) as socket:
        for key in keys:
            key.unlink()  # it is in the agent alone
        env = {"SSH_AUTH_SOCK": socket}
        done = place.fab({"vm": place.at(server)}, env=env)
        refused(done, UNREACHABLE, "refuses the login of deploy", "MaxAuthTries")
        only = f"Host *\n  IdentitiesOnly yes\n  IdentityFile {keys[3]}.pub\n"
        well(place.fab({"vm": place.at(server)}, env=env, config=only))
        well(place.fab({"vm": place.at(server)}, config=f"{only}  IdentityAgent {socket}\n"))
        refused(place.fab({"vm": place.at(server)}, env=env, config="Host *\n  IdentityAgent none\n"), UNREACHABLE)


def test_an_encrypted_key_without_a_terminal(place: Place) -> None:
    key = new_key(place.folder / "key", passphrase=PASSWORD)
    rsa = new_key(place.folder / "rsa", kind="rsa", passphrase=PASSWORD)
    keygen("-p", "-m", "PEM", "-P", PASSWORD, "-N", PASSWORD, "-f", rsa)
    place.trust(key, rsa)
    server = place.sshd(2308)
    hosts = {"vm": place.at(server, key=key)}
    before = server.log
    refused(place.fab(hosts), SETTINGS, f"{key} is encrypted, and there is no terminal", "ENCAMP_SSH_PASSPHRASE")
    refused(place.fab(hosts, env={"ENCAMP_SSH_PASSPHRASE": "no"}), SETTINGS, f"does not decrypt the private key {key}")
    assert server.log == before, "no host was touched"
    text = well(place.fab(hosts, env={"ENCAMP_SSH_PASSPHRASE": PASSWORD}))
    assert PASSWORD not in text
    well(place.fab({"vm": place.at(server, key=rsa)}, env={"ENCAMP_SSH_PASSPHRASE": PASSWORD}))
    source = {"key_passphrase": {"env": "SOMEWHERE"}}
    well(place.fab({"vm": place.at(server, key=key, **source)}, env={"SOMEWHERE": PASSWORD}))
    config = f"IdentityFile {key}\n"
    well(place.fab({"vm": place.at(server, **source)}, env={"SOMEWHERE": PASSWORD}, config=config))


def test_a_passphrase_is_asked_for_once(place: Place) -> None:
    key = new_key(place.folder / "key", passphrase=PASSWORD)
    place.trust(key)
    server = place.sshd(2309)
    place.fab({"one": place.at(server, key=key), "two": place.at(server, key=key)})  # writes the files
    arguments = ["-S", str(place.folder / "ssh_config"), "-H", "one,two", "history"]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(CHECKOUT)
        os.environ.update(ENCAMP_INVENTORY=str(place.folder / "hosts.yml"), SSH_AUTH_SOCK="")
        os.execv(str(Path(sys.executable).with_name("fab")), ["fab", *arguments])
    said = b""
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 4096):
            before, said = said.count(b"Passphrase of"), said + data
            if said.count(b"Passphrase of") > before:
                os.write(terminal, (PASSWORD if before else "a typo").encode() + b"\n")
    _, status = os.waitpid(process, 0)
    assert status == 0, said
    assert said.count(b"Passphrase of") == 2, "once, and once more after the typo"
    assert PASSWORD.encode() not in said
    assert server.log.count("Accepted publickey") == 2


@BOTH_WAYS
def test_user_certificates(place: Place) -> None:
    authority, key = new_key(place.folder / "ca"), new_key(place.folder / "key")
    rsa = new_key(place.folder / "rsa", kind="rsa")
    place.write("/etc/ssh/more/keys", "")
    place.write("/etc/ssh/more/ca.pub", public(authority))
    server = place.sshd(2310, "TrustedUserCAKeys /etc/ssh/more/ca.pub")
    refused(place.fab({"vm": place.at(server, key=key)}), UNREACHABLE, "refuses the login of deploy")
    for one in (key, rsa):
        keygen("-s", authority, "-I", one.name, "-n", "deploy", "-V", "+1h", f"{one}.pub")
        well(place.fab({"vm": place.at(server, key=one)}))
        with agent(place.folder, one) as socket:
            well(place.fab({"vm": place.at(server)}, env={"SSH_AUTH_SOCK": socket}))
    assert server.log.count("ED25519-CERT") >= 2 and server.log.count("RSA-CERT") >= 2
    apart = (place.folder / "key-cert.pub").rename(place.folder / "apart.pub")
    config = f"IdentityFile {key}\nCertificateFile {apart}\n"
    well(place.fab({"vm": place.at(server)}, config=config))


# -- Passwords --------------------------------------------------------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize(
    ("options", "method"),
    [
        (("PasswordAuthentication yes",), "password"),
        (("KbdInteractiveAuthentication yes",), "keyboard-interactive/pam"),
    ],
)
def test_passwords(place: Place, options: tuple[str, ...], method: str) -> None:
    place.write("/etc/ssh/more/password", f"deploy:{PASSWORD}")
    place.run("chpasswd < /etc/ssh/more/password; rm /etc/ssh/more/password")
    server = place.sshd(2311, *options)
    given = place.at(server, ansible_password={"env": "SOMEWHERE"})
    text = well(place.fab({"vm": given}, env={"SOMEWHERE": PASSWORD}))
    assert f"Accepted {method} for deploy" in server.log
    assert PASSWORD not in text

    began = time.monotonic()
    refused(place.fab({"vm": given}, env={"SOMEWHERE": "wrong"}), UNREACHABLE, "refuses the login of deploy")
    assert time.monotonic() - began < 60
    assert server.log.count(f"Failed {method}") == 1, "a wrong password is offered once"
    refused(place.fab({"vm": given}), SETTINGS, "SOMEWHERE", "hosts.yml")
    done = place.fab({"vm": place.at(server, ansible_password=PASSWORD)})
    assert PASSWORD not in refused(done, SETTINGS, "ansible_password must not be in the inventory as plain text")


# -- Host keys --------------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_a_host_whose_key_really_changed(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2312)
    old = server.known()
    known = place.file("known", f"# ours\n{old}")
    hosts = {"vm": {**place.at(server, key=key), "known_hosts": str(known), "host_key_checking": "accept-new"}}
    well(place.fab(hosts))
    server.stop()
    place.run(f"rm {server.key}*")
    server.start()
    new = server.known()
    assert new != old
    before = server.log.count("Accepted")
    text = refused(place.fab(hosts), UNREACHABLE, "has changed", fingerprint(old.partition(" ")[2]), f"({known}:2)")
    assert fingerprint(new.partition(" ")[2]) in text
    assert f"ssh-keygen -R '[{place.address}]:2312' -f {known}" in text
    assert server.log.count("Accepted") == before
    assert known.read_text("utf-8") == f"# ours\n{old}"
    # What the message says to do is what helps.
    subprocess.run(["ssh-keygen", "-R", f"[{place.address}]:2312", "-f", str(known)], check=True, capture_output=True)
    well(place.fab(hosts))
    assert known.read_text("utf-8") == f"# ours\n{new}"


@BOTH_WAYS
def test_known_hosts_as_openssh_writes_it(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    place.run("mkdir -p /etc/ssh/more; rm -f /etc/ssh/more/ecdsa*; ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/more/ecdsa")
    server = place.sshd(2313, "HostKey /etc/ssh/more/ecdsa")
    known = place.file("known", "")
    hosts = {"vm": {**place.at(server, key=key), "known_hosts": ""}}
    config = f"HashKnownHosts yes\nUserKnownHostsFile {known}\n"
    refused(place.fab(hosts, config=config), UNREACHABLE, "is unknown", "SHA256:", "accept-new")

    # Hashed, for a port of its own.
    known.write_text(server.known(), "utf-8")
    keygen("-H", "-f", known)
    assert place.address not in known.read_text("utf-8")
    well(place.fab(hosts, config=config))
    # A type of key that is not the first choice: it is asked for because it is the one on record.
    kind, text = place.run("cat /etc/ssh/more/ecdsa.pub").split()[:2]
    known.write_text(f"[198.18.*]:2313,!nobody {kind} {text}\n", "utf-8")
    well(place.fab(hosts, config=config))
    # Recorded without its port.
    known.write_text(server.known(place.address), "utf-8")
    well(place.fab(hosts, config=config))
    # Revoked.
    known.write_text(server.known() + f"@revoked * {server.known().partition(' ')[2]}", "utf-8")
    refused(place.fab(hosts, config=config), UNREACHABLE, "is revoked", "known:2", "do not connect")
    # Accepted once, under a name that OpenSSH itself finds.
    known.write_text("# no line end", "utf-8")
    well(place.fab({"vm": {**hosts["vm"], "host_key_checking": "accept-new"}}, config=config))
    found = subprocess.run(
        ["ssh-keygen", "-F", f"[{place.address}]:2313", "-f", str(known)], capture_output=True, text=True, check=True
    )
    assert len(found.stdout.splitlines()) == 2, known.read_text("utf-8")


@BOTH_WAYS
def test_host_certificates(place: Place) -> None:
    authority, key = new_key(place.folder / "ca"), new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2314)
    server.stop()

    def certified(*options: str) -> Fab:
        host_key = place.file("host.pub", place.run(f"cat {server.key}.pub"))
        keygen("-s", authority, "-I", "host", "-h", *options, host_key)
        place.write(f"{server.key}-cert.pub", (place.folder / "host-cert.pub").read_text("utf-8").strip())
        server.stop()
        server.start(f"HostCertificate {server.key}-cert.pub")
        return place.fab({"vm": hosts})

    known = place.file("known_ca", f"@cert-authority [198.18.*]:2314 {public(authority)}\n")
    hosts = {"ansible_host": place.address, "ansible_port": 2314, "ansible_ssh_private_key_file": str(key)}
    hosts["known_hosts"] = str(known)
    well(certified("-n", place.address))
    by_openssh = place.transport == "openssh"
    other = "name is not a listed principal" if by_openssh else "is for elsewhere"
    refused(certified("-n", "elsewhere"), UNREACHABLE, "the host certificate of", other)
    dates = ("expired",) if by_openssh else ("is not valid now", "2020-01-0")
    refused(certified("-n", place.address, "-V", "20200101:20200102"), UNREACHABLE, "the host certificate of", *dates)
    # Of an authority that is not trusted the key inside counts, as in OpenSSH.
    known.write_text(f"@cert-authority [198.18.*]:2314 {public(key)}\n", "utf-8")
    refused(certified("-n", place.address), UNREACHABLE, "is unknown")


# -- Many at once, and links that break -------------------------------------------------------------------------------


def test_a_server_that_takes_few_logins_at_once(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2315, "MaxStartups 2:100:3")
    hosts = {f"vm{number}": place.at(server, key=key) for number in range(12)}
    well(place.fab(hosts, task=("history",)))
    assert server.log.count("Accepted publickey") == 12


SCRIPT = """
import sys, time
from encamp.inventory.load import load_inventory, select_hosts
from encamp.planning import plan
from encamp.planning.rollout import Mode, Wave
from encamp.resources.command import Command
from encamp.running.connectors import SshConnector
from encamp.running.run import Run
from encamp.site import Site
import fabric
from pathlib import Path
loaded = load_inventory(Path(sys.argv[1]), {})
site = Site(loaded, select_hosts(loaded, "vm"))
connector = SshConnector(site, fabric.Config(), hosts=["vm"])
items = [
    Command("wait", ("sh", "-c", "sleep 299 & sleep 299"), creates="/nosuch"),
    Command("next", ("touch", "/tmp/next"), creates="/tmp/next"),
]
began = time.monotonic()
plans = {("vm", ("w",)): plan.build("vm", items)}
outcomes = Run("test", Mode(), connector, []).converge([Wave("w", {"vm": ("w",)})], plans)
print(outcomes[0].status, int(time.monotonic() - began), outcomes[0].failure)
"""


def long_step(place: Place, variables: dict[str, Any]) -> subprocess.Popen[str]:
    """A run with a step of five minutes, and one after it."""
    inventory = place.file(
        "hosts.yml", yaml.safe_dump({"all": {"hosts": {"vm": {"ansible_user": "deploy", **variables}}}})
    )
    place.run("rm -f /tmp/next")
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(inventory)],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(place: Place, script: str, seconds: int = 60) -> None:
    place.run(f"for i in $(seq {seconds * 2}); do {script} && exit; sleep 0.5; done; echo no end; exit 1")


def test_a_step_that_takes_too_long_is_ended_on_the_host(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2316)
    told, _ = long_step(place, place.at(server, key=key, step_timeout=3)).communicate(timeout=120)
    assert told.startswith("failed") or "\nfailed" in told, told
    assert "timed out after" in told and "step_timeout" in told and "Command:wait" in told
    wait_for(place, "! pgrep -f 'sleep [2]99'")
    wait_for(place, "! test -e /tmp/next")


def test_a_link_that_drops_is_noticed_at_both_ends(place: Place) -> None:
    key = new_key(place.folder / "key")
    place.trust(key)
    server = place.sshd(2317)
    run = long_step(place, place.at(server, key=key))
    wait_for(place, "pgrep -f 'sleep [2]99'")
    time.sleep(11)  # the first heartbeat has been answered
    cut = time.monotonic()
    place.run("nft add table inet cut")
    for way, side in (("input", "dport"), ("output", "sport")):
        place.run(f"nft add chain inet cut {way} '{{ type filter hook {way} priority -10; }}'")
        place.run(f"nft add rule inet cut {way} tcp {side} 2317 drop")
    try:
        told, _ = run.communicate(timeout=120)
        assert "unreachable" in told, told
        assert time.monotonic() - cut < 60, told
        # The step at hand is let end by itself, and no other is begun: the lock is free again.
        time.sleep(max(0.0, 45 - (time.monotonic() - cut)))
        place.run("pkill -f 'sleep [2]99'")
        wait_for(place, "! pgrep -f 'python3 -[I] -S'")
        wait_for(place, "flock -n /run/encamp.lock true")
        wait_for(place, "! test -e /tmp/next")
    finally:
        place.run("nft delete table inet cut")
        run.kill()
