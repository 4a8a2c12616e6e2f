"""What programs of the operator's get of encamp, and what a message shows of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from encamp.errors import InventoryError
from encamp.ssh import config, programs
from encamp.ssh.openssh import places
from encamp.ssh.sockets import Proxy


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("nc %h %p", "nc %h %p"),
        ("ssh -W %h:%p jump", "ssh -W %h:%p jump"),
        ("exec cloudflared access ssh --hostname vm1", "exec cloudflared access ssh --hostname vm1"),
        ("sshpass -p hunter2 ssh -W vm:22 jump", "sshpass ..."),
        ("exec sshpass -phunter2 ssh -W vm:22 jump", "sshpass ..."),
        ("SSHPASS=hunter2 sshpass -e ssh jump", "sshpass ..."),
        ("connect --proxy-auth me:hunter2 h 22", "connect ..."),
        ("curl -u me:hunter2 x", "curl ..."),
        ("wsproxy https://me:hunter2@gate/vm", "wsproxy ..."),
        ("TOKEN=hunter2", "..."),
    ],
)
def test_a_command_that_may_hold_a_password_is_not_shown(command: str, shown: str) -> None:
    assert programs.shown(command) == shown and "hunter2" not in programs.shown(command)


def test_a_proxy_command_gets_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENCAMP_SSH_PASSWORD", "ENCAMP_BECOME_PASSWORD", "ENCAMP_SSH_PASSPHRASE"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("THEIRS", "kept")
    seen = tmp_path / "seen"
    proxy = Proxy(f"cat /proc/self/environ /proc/self/cmdline > {seen}")
    while not proxy.ended:
        time.sleep(0.05)
    proxy.close()
    assert b"hunter2" not in seen.read_bytes() and b"THEIRS=kept" in seen.read_bytes()


def test_nor_does_what_a_match_line_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCAMP_SSH_PASSWORD", "hunter2")
    seen, file = tmp_path / "seen", tmp_path / "config"
    file.write_text(f'Match exec "env > {seen}"\n  User deploy\n')
    config.ask("vm1", file=str(file))
    assert "hunter2" not in seen.read_text() and "PATH=" in seen.read_text()


@pytest.mark.parametrize("text", ["a$(touch x)", "a;b", "a`b`", "-oProxyCommand=x", "a b", "a\nb", "a|b", 'a"b', "a\\"])
def test_names_that_a_shell_would_execute_are_refused(text: str) -> None:
    for name, user in ((text, None), ("vm1", text)):
        with pytest.raises(InventoryError, match="cannot be the name of a"):
            config.route(name, user, None)


@pytest.mark.parametrize(
    "text", ["vm-1.example.com", "fe80::1%eth0", "2001:db8::1", "vm_1", "a+b", "me@corp", "AD\\me$"]
)
def test_names_that_hosts_and_users_have(text: str) -> None:
    assert config.route("vm1", text, None)[-1].user == text
    if "@" not in text and "\\" not in text:
        assert config.route(text, None, None)[-1].host.lower() == text.lower()


def test_a_failed_proxy_command_shows_no_password() -> None:
    proxy = Proxy("sh -c 'echo away >&2; exit 1' sshpass -p hunter2")
    while not proxy.ended:
        time.sleep(0.05)
    try:
        assert str(proxy.failure) == "`sh ...` ended: away"
    finally:
        proxy.close()


def test_the_helper_is_not_put_where_no_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is mounted noexec, as the system reports it: to mount one takes root."""
    closed, cache = tmp_path / "closed", tmp_path / "cache"
    for path in (closed, cache):
        path.mkdir()
    statvfs = os.statvfs

    class NoExec:
        f_flag = os.ST_NOEXEC

    monkeypatch.setattr(os, "statvfs", lambda path: NoExec() if Path(path) == closed else statvfs(path))
    monkeypatch.setattr("tempfile.tempdir", str(closed))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nosuch"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    made = places.folder()
    assert made.parent == cache and made.stat().st_mode & 0o777 == 0o700
