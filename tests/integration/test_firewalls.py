"""Hosts with ufw, firewalld or an nftables ruleset: the port opens and stays open, the owner's rules stay as they were.

The three are deployed in one run, with SQLite, which is covered by the way.
"""

from __future__ import annotations

import re
import time

import lab as machinery
import pytest
from live import LiveLab

from tests.integration.looks import Fab, counts, curl, succeeded

FIREWALLS = ("ufw1", "firewalld1", "nft1")
STEP = "FirewallPort:prefect-default"
DATABASE = "/var/lib/prefect/default/prefect.db"

#: What the owner of each host set up: its files, and its rules as the firewall tells them.
OWNERS = {
    "ufw1": ("cat /etc/ufw/user.rules /etc/ufw/user6.rules", "ufw status verbose", "cat /etc/default/ufw"),
    "firewalld1": (
        "cat /etc/firewalld/zones/public.xml /etc/firewalld/firewalld.conf",
        "firewall-cmd --list-all-zones",
        "firewall-cmd --permanent --list-all-zones",
    ),
    "nft1": ("cat /etc/nftables.conf", "systemctl is-enabled nftables.service"),
}
LOADED = "nft --stateless list ruleset"
#: How an operator would take our rule away.
DROPPED = {
    "ufw1": "ufw --force delete allow proto tcp from any to any port 4200",
    "firewalld1": "firewall-cmd --remove-port=4200/tcp && firewall-cmd --permanent --remove-port=4200/tcp",
    "nft1": "nft delete rule inet filter input handle $(nft -a list chain inet filter input | "
    "sed -n 's/.*dport 4200.*# handle //p')",
}
Rules = dict[str, list[str]]


def foreign_rules(lab: LiveLab, name: str) -> Rules:
    """Every rule of a host but ours, line by line in their order, as files, firewall and kernel have them."""
    told = {command: lab.host(name).check_output(command) for command in (*OWNERS[name], LOADED)}
    return {command: [line for line in map(without_ours, text.splitlines()) if line] for command, text in told.items()}


def without_ours(line: str) -> str:
    """A line of the owner's; empty for one of ours. Only firewalld lists ours and the owner's ports in one line."""
    if line.strip().startswith("ports:"):
        return re.sub(r" 4200/tcp\b", "", line).rstrip()
    return "" if re.search(r"\b4200\b", line) else line.rstrip()


def assert_foreign_rules(lab: LiveLab, name: str, before: dict[str, Rules]) -> None:
    """The owner's rules are what they were, in the same order."""
    for command, lines in foreign_rules(lab, name).items():
        assert lines == before[name][command], f"{name}: {command}"


def deploy(lab: LiveLab, *arguments: str) -> Fab:
    done = lab.fab("-H", ",".join(FIREWALLS), "deploy", "--set", "database=sqlite", *arguments)
    succeeded(done)
    return done


def changes(done: Fab) -> set[tuple[str, str]]:
    """Host and step of everything that a run changed."""
    lines = (line.split() for line in done.stdout.splitlines())
    return {(words[0], words[2]) for words in lines if words[1:2] == ["changed"]}


def is_open(lab: LiveLab, name: str, source: str = "laptop1") -> bool:
    """Whether the API answers to another host."""
    return curl(lab, source, f"http://{lab.address(name)}:4200/api/health", "--max-time 4") == "true"


@pytest.fixture(scope="module")
def before(lab: LiveLab) -> dict[str, Rules]:
    """The rules of fresh hosts."""
    lab.up(*FIREWALLS, "laptop1", "laptop2")
    # ufw writes its files anew at its first command on a kernel; that belongs to the owner.
    lab.host("ufw1").check_output("ufw allow 9100/tcp comment 'node exporter' && ufw reload")
    return {name: foreign_rules(lab, name) for name in FIREWALLS}


@pytest.fixture(scope="module")
def deployed(lab: LiveLab, before: dict[str, Rules]) -> LiveLab:
    """The three hosts with a server each."""
    done = deploy(lab)
    assert {(name, STEP) for name in FIREWALLS} <= changes(done)
    return lab


@pytest.mark.parametrize("name", FIREWALLS)
def test_the_port_is_open_and_the_other_rules_are_as_they_were(
    deployed: LiveLab, before: dict[str, Rules], name: str
) -> None:
    assert is_open(deployed, name)
    assert_foreign_rules(deployed, name, before)
    assert any("4200" in line for line in deployed.host(name).check_output(LOADED).splitlines())


def test_a_second_deploy_changes_nothing(deployed: LiveLab) -> None:
    done = deploy(deployed)
    assert {name: counts(done, name)["changed"] for name in FIREWALLS} == dict.fromkeys(FIREWALLS, 0)


@pytest.mark.parametrize("name", FIREWALLS)
def test_only_the_service_reads_its_sqlite_file(deployed: LiveLab, name: str) -> None:
    for path in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        file = deployed.host(name).file(path)
        assert (file.user, file.group, oct(file.mode)) == ("prefect", "prefect", "0o600"), path
    mode = (
        "import sqlite3; print(sqlite3.connect('file:%s?mode=ro', uri=True).execute('PRAGMA journal_mode').fetchone())"
    )
    assert "wal" in deployed.host(name).check_output("python3 -c %s", mode % DATABASE)
    assert not deployed.host(name).package("postgresql").is_installed


def test_a_rule_dropped_by_hand_is_put_back_and_nothing_else_is_done(
    deployed: LiveLab, before: dict[str, Rules]
) -> None:
    for name, command in DROPPED.items():
        deployed.host(name).check_output(command)
        assert not is_open(deployed, name), "it was this rule that let clients in"
    assert changes(deploy(deployed)) == {(name, STEP) for name in FIREWALLS}
    assert all(is_open(deployed, name) for name in FIREWALLS)
    for name in FIREWALLS:
        assert_foreign_rules(deployed, name, before)


def test_only_the_sources_that_are_allowed_get_in(deployed: LiveLab, before: dict[str, Rules]) -> None:
    sources = f"allowed_sources=[{deployed.address('laptop1')}]"
    assert changes(deploy(deployed, "--set", sources, "--no-verify")) == {(name, STEP) for name in FIREWALLS}
    seen = {name: (is_open(deployed, name), is_open(deployed, name, "laptop2")) for name in FIREWALLS}
    assert seen == dict.fromkeys(FIREWALLS, (True, False))
    assert changes(deploy(deployed, "--no-verify")) == {(name, STEP) for name in FIREWALLS}
    assert all(is_open(deployed, name, "laptop2") for name in FIREWALLS)
    for name in FIREWALLS:
        assert_foreign_rules(deployed, name, before)


def test_after_a_reboot_the_port_is_open_and_the_other_rules_are_loaded(
    deployed: LiveLab, before: dict[str, Rules]
) -> None:
    machinery.reboot(deployed.lab, FIREWALLS)
    for name in FIREWALLS:
        deadline = time.monotonic() + 120
        while not is_open(deployed, name) and time.monotonic() < deadline:
            time.sleep(1)
        assert is_open(deployed, name), name
        assert_foreign_rules(deployed, name, before)
    assert changes(deploy(deployed)) == set()


def test_the_port_follows_the_interface_into_its_zone(deployed: LiveLab) -> None:
    host, change = deployed.host("firewalld1"), "firewall-cmd -q --zone=internal --change-interface=eth0"
    host.check_output(f"{change} && {change} --permanent")
    assert not is_open(deployed, "firewalld1"), "the zone of the interface decides, not the default zone"
    succeeded(deployed.fab("-H", "firewalld1", "deploy", "--set", "database=sqlite", "--no-verify"))
    assert is_open(deployed, "firewalld1")
    assert "4200/tcp" not in host.check_output("firewall-cmd --zone=public --list-ports")
    assert "4200/tcp" in host.check_output("firewall-cmd --permanent --zone=internal --list-ports")


def test_an_earlier_denial_is_named_and_stays(deployed: LiveLab) -> None:
    denied = deployed.address("laptop2")
    deployed.host("ufw1").check_output(f"ufw insert 1 deny from {denied}")
    done = deployed.fab("-H", "ufw1", "deploy", "--set", "database=sqlite", "--no-verify")
    succeeded(done)
    words = f"ufw's rule `deny from {denied}`: it comes before encamp's, so those clients cannot reach 4200/tcp"
    assert words not in re.sub(r"\s+", " ", done.stdout), "nothing changed"
    assert words in re.sub(r"\s+", " ", deployed.fab("-H", "ufw1", "doctor").stdout)
    assert (is_open(deployed, "ufw1"), is_open(deployed, "ufw1", "laptop2")) == (True, False)
