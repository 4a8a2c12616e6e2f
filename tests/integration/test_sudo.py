"""Becoming root, on hosts whose owners have set up sudo in the ways that tools stumble over."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lab as machinery
import pytest
import yaml
from layout import CHECKOUT, NASTY_PASSWORD
from live import LiveLab

HOST = "nasty1"
FAILED = 2
Fab = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def host(lab: LiveLab) -> Iterator[LiveLab]:
    lab.up(HOST)
    yield lab
    inside(lab, "rm -f /etc/sudoers.d/zz-test")


@pytest.fixture(autouse=True)
def plain(host: LiveLab) -> None:
    inside(host, "rm -f /etc/sudoers.d/zz-test")


def inside(lab: LiveLab, script: str, name: str = HOST) -> str:
    return machinery.inside(lab.lab, name, "sh", "-c", script)


def sudoers(lab: LiveLab, text: str) -> None:
    path = "/etc/sudoers.d/zz-test"
    inside(lab, f"printf '%s\\n' '{text}' > {path}; chmod 0440 {path}; visudo -c")


def run(lab: LiveLab, tmp_path: Path, env: dict[str, str] | None = None, name: str = HOST, **variables: Any) -> Fab:
    site = lab.site(tmp_path, host_vars={name: variables})
    return lab.fab("-S", "/dev/null", "-H", name, "history", inventory=site, env={**NONE, **(env or {})}, timeout=120)


NONE = {"ENCAMP_BECOME_PASSWORD": ""}
GIVEN = {"ENCAMP_BECOME_PASSWORD": NASTY_PASSWORD}


def well(done: Fab) -> None:
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert NASTY_PASSWORD not in text


def refused(done: Fab, *words: str) -> None:
    text = done.stdout + done.stderr
    assert done.returncode == FAILED and "Traceback" not in text, text
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} not in\n{text}"


def test_a_password_from_each_source(host: LiveLab, tmp_path: Path) -> None:
    well(run(host, tmp_path, GIVEN))
    file = tmp_path / "password"
    file.write_text(NASTY_PASSWORD + "\n", "utf-8")
    well(run(host, tmp_path, ansible_become_password={"file": str(file)}))
    well(run(host, tmp_path, ansible_become_password={"command": ["cat", str(file)]}))
    vault = tmp_path / "vault"
    vault.write_text("open sesame\n", "utf-8")
    command = [str(Path(sys.executable).with_name("ansible-vault")), "encrypt", "--vault-password-file", str(vault)]
    sealed = tmp_path / "sealed"
    sealed.write_text(yaml.safe_dump({"ansible_become_password": NASTY_PASSWORD}), "utf-8")
    subprocess.run([*command, str(sealed)], check=True, capture_output=True)
    site = host.site(tmp_path / "vaulted", host_vars={HOST: {}})
    sealed.rename(site / "host_vars" / f"{HOST}.yml")
    env = {**NONE, "ENCAMP_VAULT_PASSWORD_FILE": str(vault)}
    well(host.fab("-H", HOST, "history", inventory=site, env=env))


def test_a_password_is_asked_for_once_for_all_hosts(host: LiveLab, tmp_path: Path) -> None:
    site = host.site(tmp_path, host_vars={HOST: {"x_second": True}})
    hosts = yaml.safe_load((site / "hosts.yml").read_text("utf-8"))
    found = next(group["hosts"] for group in hosts["all"]["children"].values() if HOST in group["hosts"])
    found["again"] = {**found[HOST], "ansible_host": "127.0.0.1"}
    (site / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(CHECKOUT)
        os.environ.update(ENCAMP_INVENTORY=str(site), ENCAMP_BECOME_PASSWORD="")
        fab = str(Path(sys.executable).with_name("fab"))
        os.execv(fab, ["fab", "--prompt-for-sudo-password", "-H", f"{HOST},again", "history"])
    said, asked = b"", 0
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        said += data
        if said.count(b"sudo.password'") > asked:
            asked += 1
            os.write(terminal, NASTY_PASSWORD.encode() + b"\n")
    _, status = os.waitpid(process, 0)
    assert (status, asked) == (0, 1), said
    assert NASTY_PASSWORD.encode() not in said


def test_a_wrong_password_is_offered_once_and_told(host: LiveLab, tmp_path: Path) -> None:
    sudoers(host, "Defaults passwd_tries=5")
    since = inside(host, "date +%s").strip()
    done = run(host, tmp_path, {"ENCAMP_BECOME_PASSWORD": "wrong"})  # ends before fab's time-out
    refused(done, "become root", "sudo does not accept the password", "ENCAMP_BECOME_PASSWORD", "once")
    log = inside(host, f"journalctl --sync; journalctl -q -o cat --since=@{since} -t sudo")
    assert "1 incorrect password attempt" in log, log
    assert log.count("authentication failure") == 1, log


def test_without_a_password_it_never_waits(host: LiveLab, tmp_path: Path) -> None:
    refused(run(host, tmp_path), "sudo asks for a password", "ansible_become_password", "NOPASSWD")


@pytest.mark.parametrize("user", ["ttyonly", "deploy"])
def test_sudo_that_insists_on_a_terminal(host: LiveLab, tmp_path: Path, user: str) -> None:
    sudoers(host, "Defaults requiretty,log_output,use_pty")
    well(run(host, tmp_path, GIVEN, ansible_user=user))
    refused(run(host, tmp_path, {"ENCAMP_BECOME_PASSWORD": "wrong"}, ansible_user=user), "does not accept the password")


def test_a_secure_path_without_python(host: LiveLab, tmp_path: Path) -> None:
    sudoers(host, 'Defaults secure_path="/opt/bin:/sbin"')
    well(run(host, tmp_path, GIVEN))


def test_every_login_shell(host: LiveLab, tmp_path: Path) -> None:
    """Those of csh's family, fish and a restricted one take no command that is written for sh."""
    install(host, "csh tcsh fish busybox")
    inside(host, "printf '#!/bin/sh\\nexec busybox sh \"$@\"\\n' > /usr/local/bin/bbsh; chmod 755 /usr/local/bin/bbsh")
    try:
        for shell in ("/bin/tcsh", "/bin/bsd-csh", "/usr/bin/fish", "/usr/local/bin/bbsh", "/bin/rbash"):
            inside(host, f"usermod -s {shell} deploy")
            well(run(host, tmp_path, GIVEN))
        inside(host, "usermod -s /usr/sbin/nologin deploy")
        refused(run(host, tmp_path, GIVEN), "This account is currently not available", "nologin")
    finally:
        inside(host, "usermod -s /bin/bash deploy")


def test_a_start_up_file_that_ends_no_line_and_tight_limits(host: LiveLab, tmp_path: Path) -> None:
    inside(host, "cp -p ~deploy/.bashrc /root/bashrc; (printf 'printf no-end\\n'; cat /root/bashrc) > ~deploy/.bashrc")
    inside(
        host,
        "cp /etc/security/limits.conf /root; printf 'deploy hard nofile 20\\ndeploy hard as 150000\\n' "
        ">> /etc/security/limits.conf",
    )
    try:
        well(run(host, tmp_path, GIVEN))
    finally:
        inside(host, "cp -p /root/bashrc ~deploy/.bashrc; cp /root/limits.conf /etc/security/limits.conf")


def test_a_second_factor(host: LiveLab, tmp_path: Path) -> None:
    install(host, "libpam-oath")
    inside(host, "printf 'HOTP\\tdeploy\\t-\\t%s\\n' " + SECRET.hex() + " > /etc/users.oath; chmod 600 /etc/users.oath")
    line = "auth required pam_oath.so usersfile=/etc/users.oath window=20 digits=6"
    inside(host, f"cp /etc/pam.d/sudo /root/pam.sudo; sed -i 's|^@include common-auth|&\\n{line}|' /etc/pam.d/sudo")
    try:
        refused(run(host, tmp_path, GIVEN), "sudo asks again after it got the password", "a second factor", "sudo -v")
        refused(run(host, tmp_path, {"ENCAMP_BECOME_PASSWORD": "wrong"}), "sudo does not accept the password")
        site = host.site(tmp_path, host_vars={HOST: {}})
        said, status = answered(site, {b"sudo asks again": one_time_password(SECRET, 0)})
        assert status == 0, said
    finally:
        inside(host, "cp /root/pam.sudo /etc/pam.d/sudo")


SECRET = b"twenty bytes of that"


def one_time_password(secret: bytes, counter: int) -> bytes:
    """HOTP (RFC 4226, section 5.3)."""
    digest = hmac.new(secret, counter.to_bytes(8, "big"), hashlib.sha1).digest()
    at = digest[-1] & 15
    return b"%06d" % (int.from_bytes(digest[at : at + 4], "big") % (1 << 31) % 1_000_000)


def answered(site: Path, answers: dict[bytes, bytes]) -> tuple[bytes, int]:
    """Run ``fab history`` on a terminal, answering what is asked there."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(CHECKOUT)
        os.environ.update(ENCAMP_INVENTORY=str(site), ENCAMP_BECOME_PASSWORD=NASTY_PASSWORD)
        fab = str(Path(sys.executable).with_name("fab"))
        os.execv(fab, ["fab", "-S", "/dev/null", "-H", HOST, "history"])
    said = b""
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 4096):
            said += data
            for question in [known for known in answers if known in said]:
                os.write(terminal, answers.pop(question) + b"\n")
    return said, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def install(lab: LiveLab, packages: str) -> None:
    options = "-qq -y --no-install-recommends"
    inside(lab, f"apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get install {options} {packages} 2>&1")


def test_a_user_who_may_not(host: LiveLab, tmp_path: Path) -> None:
    refused(run(host, tmp_path, {"ENCAMP_BECOME_PASSWORD": "any"}, ansible_user="plain"), "become root", "sudo")


def test_root_and_who_stays_himself(host: LiveLab, tmp_path: Path) -> None:
    well(run(host, tmp_path, ansible_user="root", ansible_become=False))
    well(run(host, tmp_path, ansible_user="root"))
    well(run(host, tmp_path, ansible_user="plain", ansible_become=False))


def test_a_host_without_python(lab: LiveLab, tmp_path: Path) -> None:
    lab.up("bare1")
    refused(run(lab, tmp_path, name="bare1"), "python3 is not installed on the host", "bootstrap_python: true")
    assert "python3" not in inside(lab, "ls /usr/bin", "bare1").split()
    site = lab.site(tmp_path, host_vars={"bare1": {"bootstrap_python": True}})
    lab.fab("-H", "bare1", "deploy", "--check", inventory=site)
    assert "python3" not in inside(lab, "ls /usr/bin", "bare1").split(), "a check changes nothing"
    done = lab.fab("-H", "bare1", "undeploy", "--instance", "nosuch", inventory=site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "python3 was missing and has been installed" in done.stdout
    done = lab.fab("-H", "bare1", "undeploy", "--instance", "nosuch", inventory=site)
    assert done.returncode == 0 and "has been installed" not in done.stdout
