"""Hosts as companies harden them, in every role; and containers that give units no mount namespaces.

The company's host has cloud-init at work when it is deployed to, and a developer on it whose shell is tcsh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from live import LiveLab

from tests.integration.looks import Fab, api, changed, counts, succeeded

COMPANY, LAPTOP, CONTAINER = "vm2", "vm2-laptop", "lxc1"
SERVER_UNIT, WORKER_UNIT = "prefect-server.service", "prefect-worker-default.service"
#: What guides for hardening say, as far as it can be had in a container (auditd cannot).
HARDEN = r"""
set -e
groupadd ssh-users
usermod -aG ssh-users deploy
usermod -aG ssh-users dev
cat > /etc/ssh/sshd_config.d/00-company.conf <<END
AllowGroups ssh-users
PermitRootLogin no
MaxSessions 2
MaxAuthTries 3
X11Forwarding no
AllowTcpForwarding no
Banner /etc/issue.net
END
echo 'Authorized use only.' > /etc/issue.net
systemctl reload ssh
sed -i 's/^UMASK.*/UMASK 077/' /etc/login.defs
echo 'session optional pam_umask.so umask=0077' >> /etc/pam.d/common-session
cat > /etc/company.sh <<END
umask 077
readonly TMOUT=900
readonly HISTTIMEFORMAT='%F %T '
export TMOUT HISTTIMEFORMAT
echo 'This system is monitored.'
END
cp /etc/company.sh /etc/profile.d/
sed -i '1i . /etc/company.sh' /home/deploy/.bashrc
cat > /etc/sudoers.d/zz-company <<END
Defaults use_pty,requiretty,log_output,passwd_tries=1
Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin"
Defaults umask=0077,umask_override
END
chmod 440 /etc/sudoers.d/zz-company
visudo -qc
printf '* hard core 0\n* hard nproc 200\n* hard nofile 1024\n* hard maxlogins 10\n' >> /etc/security/limits.conf
mount -o remount,hidepid=2 /proc
mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs /var/tmp
mount -o remount,noexec,nosuid,nodev /tmp
mount -o remount,noexec,nosuid,nodev /dev/shm
chmod 750 /home/*
"""
TCSH = """
set -e
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install tcsh >/dev/null
usermod -s /bin/tcsh dev
echo 'echo tcsh says hello' > /home/dev/.tcshrc
"""
#: A first boot: cloud-init writes its result when its last stage has ended.
CLOUD_INIT = """
set -e
mkdir -p /run/cloud-init
echo '{"v1": {"stage": "modules-final"}}' > /run/cloud-init/status.json
cat > /etc/systemd/system/cloud-final.service <<END
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sleep 25; echo {} > /run/cloud-init/result.json'
END
systemctl daemon-reload
systemctl start --no-block cloud-final.service
"""


def site_of(lab: LiveLab, folder: Path, host: str, **settings: Any) -> Path:
    """A site with one host: server, worker, and by another account the server's client."""
    path = lab.site(folder) / "hosts.yml"
    site = yaml.safe_load(path.read_text("utf-8"))
    port, url = lab.port(host), f"http://{lab.address(host)}:4200"
    groups: Mapping[str, Mapping[str, Any]] = {
        "servers": {host: {"public_url": url, "server_start_timeout": 600, **settings}},
        "workers": {host: {"workers": [{"pool": "default"}], "server": host}},
        "clients": {f"{host}-laptop": {"ansible_user": "dev", "server": host}},
    }
    site["all"]["children"] = {
        group: {"hosts": {name: {"ansible_port": port, **own} for name, own in hosts.items()}}
        for group, hosts in groups.items()
    }
    path.write_text(yaml.safe_dump(site), "utf-8")
    return folder


@pytest.fixture(scope="module")
def company(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lab.up(COMPANY, "laptop1")
    for script in (TCSH, HARDEN, CLOUD_INIT):
        lab.host(COMPANY).check_output("sh -c %s", script)
    return site_of(lab, tmp_path_factory.mktemp("company"), COMPANY)


@pytest.fixture(scope="module")
def first(lab: LiveLab, company: Path) -> Fab:
    """What the first deploy did."""
    return lab.fab("-H", COMPANY, "deploy", inventory=company)


@pytest.fixture
def deployed(lab: LiveLab, first: Fab) -> LiveLab:
    succeeded(first)
    return lab


def test_a_hardened_host_becomes_server_and_worker(deployed: LiveLab, first: Fab) -> None:
    assert "waiting for cloud-init (modules-final) to finish" in first.stdout
    assert "(worker default default)" in first.stdout
    assert api(deployed, "laptop1", f"http://{deployed.address(COMPANY)}:4200/api/admin/version")
    host = deployed.host(COMPANY)
    assert "hidepid=" in host.check_output("grep ' /proc ' /proc/mounts")
    # umask 077 of the login and of sudo: the services read what is theirs, others what they need.
    assert host.check_output("stat -c '%a %U:%G' /etc/prefect/default/server.env") == "640 root:prefect"
    assert host.check_output("runuser -u prefect -- /opt/prefect/default/bin/python -c 'import prefect; print(1)'")


def test_a_second_deploy_changes_nothing(deployed: LiveLab, company: Path) -> None:
    done = deployed.fab("-H", COMPANY, "deploy", "--no-verify", inventory=company)
    succeeded(done)
    assert counts(done, COMPANY)["changed"] == 0
    assert "FAIL" not in succeeded(deployed.fab("-H", COMPANY, "doctor", inventory=company))


def test_a_laptop_whose_shell_is_tcsh(deployed: LiveLab, company: Path) -> None:
    succeeded(deployed.fab("-H", LAPTOP, "configure-client", "--install", inventory=company))
    assert "log line read back" in succeeded(deployed.fab("-H", LAPTOP, "verify", inventory=company))
    told = succeeded(deployed.fab("-H", LAPTOP, "doctor", inventory=company))
    assert "FAIL" not in told
    succeeded(deployed.fab("-H", LAPTOP, "configure-client", "--undo", inventory=company))


def test_a_container_without_mount_namespaces(lab: LiveLab, tmp_path: Path) -> None:
    """The failure names the setting that helps; with it all runs, and keeps the rest of its sandbox."""
    lab.up(CONTAINER, "laptop1")
    done = lab.fab("-H", CONTAINER, "deploy", inventory=site_of(lab, tmp_path / "a", CONTAINER, database="sqlite"))
    assert done.returncode == 2, done.stdout
    said = re.sub(r"\s+", " ", done.stdout)
    assert f"{SERVER_UNIT} did not start" in said and "mount_namespaces: false" in said
    assert "Failed to set up mount namespacing: Permission denied" in said
    site = site_of(lab, tmp_path / "b", CONTAINER, database="sqlite", mount_namespaces=False)
    done = lab.fab("-H", CONTAINER, "deploy", inventory=site)
    assert "(worker default default)" in succeeded(done)
    host = lab.host(CONTAINER)
    for unit in (SERVER_UNIT, WORKER_UNIT):
        shown = host.check_output(f"systemctl show -p NoNewPrivileges,ProtectSystem,CapabilityBoundingSet {unit}")
        assert "NoNewPrivileges=yes" in shown and "ProtectSystem=no" in shown and "cap_" not in shown
    again = lab.fab("-H", CONTAINER, "deploy", "--no-verify", inventory=site)
    assert counts(again, CONTAINER)["changed"] == 0 and not changed(again)
