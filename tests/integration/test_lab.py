"""The lab keeps what the other tests rely on: hosts that behave like servers, and a way to look at them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from layout import HOSTS, NASTY_PASSWORD
from live import LiveLab

SERVER = "vm2"


def test_a_host_is_a_booted_debian_server(lab: LiveLab) -> None:
    host = lab.host(SERVER)
    assert host.check_output("systemctl is-system-running") == "running"
    assert host.system_info.distribution == "debian"
    assert host.service("ssh").is_running
    assert host.check_output("nft list ruleset") == ""


@pytest.mark.parametrize(("user", "root"), [("deploy", True), ("plain", False), ("dev", False)])
def test_users_have_the_rights_their_names_promise(lab: LiveLab, user: str, root: bool) -> None:
    assert lab.ssh(SERVER, "id -un; locale charmap", user).stdout.split() == [user, "UTF-8"]
    assert (lab.ssh(SERVER, "sudo -n true", user, check=False).returncode == 0) is root


def test_sessions_are_counted(lab: LiveLab) -> None:
    before = lab.ssh_sessions(SERVER)
    lab.ssh(SERVER, "true")
    assert lab.ssh_sessions(SERVER) == before + 1


def test_hosts_know_one_another_and_the_world_by_name(lab: LiveLab) -> None:
    for name in HOSTS:
        assert lab.ssh(SERVER, f"getent hosts {name}").stdout.split()[0] in (lab.address(name), "127.0.1.1")
    assert lab.ssh(SERVER, "getent hosts deb.debian.org").stdout


def test_a_reboot_keeps_the_host_and_a_recreation_makes_a_new_one(lab: LiveLab) -> None:
    def identity() -> str:
        return lab.host(SERVER).check_output("cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")

    first = identity()
    lab.ssh(SERVER, "sudo touch /srv/mark /run/mark")
    lab.reboot(SERVER)
    assert identity() == first
    assert lab.host(SERVER).file("/srv/mark").exists
    assert not lab.host(SERVER).file("/run/mark").exists
    lab.recreate(SERVER)
    assert identity() != first
    assert not lab.host(SERVER).file("/srv/mark").exists


def test_a_host_can_be_unplugged(lab: LiveLab) -> None:
    with lab.unplugged(SERVER):
        assert lab.ssh(SERVER, "true", check=False).returncode != 0
    assert lab.ssh(SERVER, "hostname").stdout.strip() == SERVER


def test_firewalls_have_rules_of_their_owners(lab: LiveLab) -> None:
    lab.up("ufw1", "firewalld1", "nft1")
    for reboot in (False, True):
        for name in ("ufw1", "firewalld1", "nft1"):
            if reboot:
                lab.reboot(name)
        assert "8080/tcp" in lab.host("ufw1").check_output("ufw status verbose")
        assert lab.host("ufw1").check_output("ufw status").startswith("Status: active")
        assert lab.host("firewalld1").check_output("firewall-cmd --state") == "running"
        assert "8080/tcp" in lab.host("firewalld1").check_output("firewall-cmd --list-ports").split()
        assert "9100" in lab.host("nft1").check_output("nft list ruleset")


def test_a_tiny_host_has_no_room(lab: LiveLab) -> None:
    result = lab.ssh("tiny1", "sudo head -c 30M /dev/zero | sudo tee /opt/filler >/dev/null", check=False)
    assert "No space left" in result.stderr
    lab.ssh("tiny1", "sudo rm /opt/filler")


def test_a_site_of_a_test_points_at_this_lab(lab: LiveLab, tmp_path: Path) -> None:
    folder = lab.site(tmp_path, host_vars={"vm1": {"port": 4300}})
    site = yaml.safe_load((folder / "hosts.yml").read_text())
    named = {name for group in site["all"]["children"].values() for name in group["hosts"]}
    assert named == set(HOSTS)
    assert site["all"]["children"]["servers"]["hosts"]["vm1"]["ansible_port"] == lab.port("vm1")
    assert yaml.safe_load((folder / "host_vars/vm1.yml").read_text()) == {"port": 4300}


@pytest.mark.parametrize(
    ("name", "release", "python"),
    [("old1", "11", "3.9"), (SERVER, "12", "3.11"), ("new1", "13", "3.13"), ("bare1", "12", "")],
)
def test_releases_of_debian_have_their_python(lab: LiveLab, name: str, release: str, python: str) -> None:
    host = lab.host(name)
    assert host.check_output("systemctl is-system-running") == "running"
    assert host.system_info.release.split(".")[0] == release
    assert host.exists("python3") is bool(python)
    if python:
        assert host.check_output("python3 --version").startswith(f"Python {python}.")


def test_a_nasty_host_is_nasty(lab: LiveLab) -> None:
    lab.up("nasty1")
    assert lab.ssh("nasty1", "true").stdout == "bonjour de .bashrc\n"
    assert lab.ssh("nasty1", "sudo -n true", check=False).returncode == 1
    assert lab.ssh("nasty1", "sudo -S -p '' id -u", text=f"{NASTY_PASSWORD}\n").stdout.split()[-1] == "0"
    assert lab.ssh("nasty1", "sudo -S -p '' id -u", "ttyonly", text=f"{NASTY_PASSWORD}\n", check=False).returncode == 1
    assert lab.ssh("nasty1", "locale charmap").stdout.split()[-1] == "ISO-8859-1"
    assert "noexec" in lab.host("nasty1").mount_point("/tmp").options
