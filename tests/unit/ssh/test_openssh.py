"""ssh's command line, read back by ssh itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from encamp.shared.secret import Secret
from encamp.ssh import config
from encamp.ssh.openssh.arguments import command_line
from encamp.ssh.openssh.questions import Questions
from encamp.ssh.target import Address, Policy


def understood(argv: list[str]) -> dict[str, list[str]]:
    """What ``ssh -G`` makes of a command line."""
    done = subprocess.run([argv[0], "-G", *argv[1:]], capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword, []).append(value)
    return found


def test_odd_names_survive_both_quotings(tmp_path: Path) -> None:
    """Spaces, percent signs and quotes in paths; the jump host's command line is quoted twice."""
    folder = tmp_path / "a 100%d 'odd' place"
    folder.mkdir()
    file = folder / "config"
    file.write_text("Host in?er\n  ProxyJump me@outer:2222\n  ForwardAgent yes\n  RemoteCommand x\n", "utf-8")
    policy = Policy(known_hosts=str(folder / "known"), keys=(str(folder / "key"),), timeout=7)
    address = Address(config.route("inner", "you", 2200, str(file)), policy, config_file=str(file))
    argv = command_line(address, [folder / "log0", folder / "log1"], "mark", ask=False)
    found = understood(argv)
    assert (found["user"], found["port"], found["batchmode"]) == (["you"], ["2200"], ["yes"])
    assert (found["connecttimeout"], found["stricthostkeychecking"]) == (["7"], ["true"])
    assert found["forwardagent"] == ["no"] and "remotecommand" not in found
    assert found["controlmaster"] == ["false"] and "proxyjump" not in found
    (command,) = found["proxycommand"]
    shown = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {command.replace('%%', '%')}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert shown[:3] == ["env", "ENCAMP_ASKPASS_HOP=0", "ssh"] and shown[-1] == "outer"
    assert "[inner]:2200" in shown and str(folder / "log0") in shown
    jump = understood(shown[2:])
    assert (jump["user"], jump["port"]) == (["me"], ["2222"])


def test_arguments_of_the_inventory_come_last_and_reach_no_jump_host(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("", "utf-8")
    options = ("-J", "outer", "-o", "StrictHostKeyChecking=no", "-o", "Compression=yes")
    address = Address(config.route("inner", "you", None, str(file), options), Policy(), 1, str(file), options)
    argv = command_line(address, [tmp_path / "log0", tmp_path / "log1"], "mark", ask=True)
    found = understood(argv)
    assert (found["stricthostkeychecking"], found["compression"]) == (["true"], ["yes"])
    assert found["batchmode"] == ["no"]
    assert "Compression" not in found["proxycommand"][0] and "outer" in found["proxycommand"][0]


def test_a_one_time_password_is_asked_for_after_the_password(tmp_path: Path) -> None:
    route = config.route("vm", "you", None, "none")
    policy = Policy(password=Secret("hunter2"), ask=lambda prompt, echo: "271828")
    questions = Questions(Address(route, policy), tmp_path)
    try:
        questions.begin()
        env = questions.environment()
        for prompt, answer in (("Password: ", "hunter2"), ("One-time password (OATH) for `you': ", "271828")):
            done = subprocess.run([env["SSH_ASKPASS"], prompt], env=env, capture_output=True, text=True)
            assert (done.returncode, done.stdout) == (0, f"{answer}\n")
    finally:
        questions.close()


def test_no_password_and_no_locale_reaches_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENCAMP_SSH_PASSWORD", "ENCAMP_BECOME_PASSWORD", "LC_ALL", "LANG", "LANGUAGE", "SSH_ASKPASS"):
        monkeypatch.setenv(name, "hunter2")
    route = config.route("vm", "you", None, "none")
    questions = Questions(Address(route, Policy(password=Secret("hunter2"))), tmp_path)
    try:
        questions.begin()
        assert "hunter2" not in questions.environment().values()
        files = [path for path in tmp_path.iterdir() if path.is_file()]
        assert files and all(b"hunter2" not in path.read_bytes() for path in files)
    finally:
        questions.close()


@pytest.mark.parametrize(
    ("prompt", "hop", "answer"),
    [
        ("you@vm's password: ", "", "hunter2"),
        ("(you@vm) Verification code: ", "", None),
        ("me@jump's password: ", "0", None),
        ("Enter passphrase for key '/k': ", "0", "open sesame"),
        ("Enter passphrase for key '/other': ", "", None),
    ],
)
def test_the_helper_gets_what_is_for_its_question(tmp_path: Path, prompt: str, hop: str, answer: str | None) -> None:
    (tmp_path / "config").write_text("Host vm\n  ProxyJump me@jump\n", "utf-8")
    route = config.route("vm", "you", None, str(tmp_path / "config"))
    policy = Policy(password=Secret("hunter2"), passphrases={"/k": Secret("open sesame")})
    questions = Questions(Address(route, policy), tmp_path)
    try:
        questions.begin()
        env = {**questions.environment(), "ENCAMP_ASKPASS_HOP": hop}
        done = subprocess.run([env["SSH_ASKPASS"], prompt], env=env, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == ((0, f"{answer}\n") if answer else (1, ""))
        again = subprocess.run([env["SSH_ASKPASS"], prompt], env=env, capture_output=True, text=True)
        assert answer != "hunter2" or again.returncode == 1, "a password is offered once"
    finally:
        questions.close()
