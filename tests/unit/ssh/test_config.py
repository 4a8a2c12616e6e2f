"""OpenSSH's configuration: its own reading of it, and what is told of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from encamp.errors import InventoryError, Origin
from encamp.ssh import config as ssh_config
from encamp.ssh import config_files, config_warnings, directives
from encamp.support import user as current_user


def write(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    return str(path)


def test_statements_come_with_their_place_and_block(tmp_path: Path) -> None:
    write(tmp_path / "more", "Port=2\n")
    file = write(tmp_path / "config", f'# nothing\nHost a "b c"\n  Include {tmp_path}/m*\n  User  me # a word\n')
    found = config_files.statements(file)
    assert [(one.keyword, one.words, one.origin.line) for one in found] == [
        ("host", ("a", "b c"), 2),
        ("include", (f"{tmp_path}/m*",), 3),
        ("port", ("2",), 1),
        ("user", ("me",), 4),
    ]
    assert found[2].block == found[0] and found[2].origin.file == str(tmp_path / "more")


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    file = write(tmp_path / "config", f"Include {tmp_path}/config\n")
    assert len(config_files.statements(file)) == config_files.MAX_DEPTH + 1


def test_a_route_is_what_openssh_says(tmp_path: Path) -> None:
    text = """
        Match originalhost target exec "test %n = target"
            ProxyJump one,me@two:2222
        Host target
            HostName %h.example.com
            Port 2200
            HostKeyAlias the-target
            UserKnownHostsFile "/tmp/my files/%n" ~/other
            IdentityFile ~/keys/%r@%h
        Host one
            Port 2201
        """
    hops = ssh_config.route("target", "root", None, write(tmp_path / "config", text))
    assert [(hop.name, hop.host, hop.port) for hop in hops] == [
        ("one", "one", 2201),
        ("two", "two", 2222),
        ("target", "target.example.com", 2200),
    ]
    target = hops[-1]
    assert (hops[1].user, target.user, target.recorded) == ("me", "root", "the-target")
    assert target.known_hosts[:2] == ("/tmp/my files/target", f"{config_files.home()}/other")
    assert target.identity_files == (f"{config_files.home()}/keys/root@target.example.com",)
    assert hops[0].recorded == "[one]:2201"


def test_a_jump_host_that_jumps_through_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="loop"):
        ssh_config.route("a", None, None, write(tmp_path / "config", "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n"))


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"config.*line 2"):
        ssh_config.route("a", None, None, write(tmp_path / "config", "Host a\n  Nosuch 1\n"))


def warned(tmp_path: Path, text: str, name: str = "a") -> list[str]:
    file = write(tmp_path / "config", text)
    return config_warnings.warnings(ssh_config.route(name, None, None, file)[-1], file)


def test_only_what_counts_for_the_host_is_told(tmp_path: Path) -> None:
    text = (
        "Host b\n  RemoteCommand x\nHost a\n  RemoteCommand true\n  VerifyHostKeyDNS no\n  StrictHostKeyChecking ask\n"
    )
    told = warned(tmp_path, text)
    assert len(told) == 1 and f"{tmp_path}/config:4: remotecommand true" in told[0]


def test_host_key_checking_that_is_asked_for_elsewhere_is_told(tmp_path: Path) -> None:
    told = warned(tmp_path, "StrictHostKeyChecking no\nForwardAgent yes\nControlPersist 10\n")
    assert len(told) == 1 and told[0].startswith(f"{tmp_path}/config:1: stricthostkeychecking no")


@pytest.mark.parametrize("value", ["ask", "yes", "accept-new"])
def test_host_key_checking_as_encamp_does_it_is_not_told(tmp_path: Path, value: str) -> None:
    assert warned(tmp_path, f"StrictHostKeyChecking {value}\n") == []


def test_what_is_not_safe_to_leave_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as raised:
        warned(tmp_path, "\nRevokedHostKeys /etc/keys\n")
    assert raised.value.where and raised.value.where.line == 2
    assert "transport: openssh" in raised.value.fix


def test_what_only_ssh_obeys_is_found_with_its_place(tmp_path: Path) -> None:
    file = write(
        tmp_path / "config", "Host b\n  BindInterface lo\nHost a\n  GSSAPIAuthentication yes\n  RemoteCommand x\n"
    )
    hop = ssh_config.route("a", None, None, file)[-1]
    assert config_warnings.by_openssh(hop, file) == f"gssapiauthentication yes ({file}:4)"
    assert [text.split(": ")[1] for text in config_warnings.warnings(hop, file, by_openssh=True)] == [
        "remotecommand x has no effect here"
    ]
    plain = ssh_config.route("c", None, None, file)[-1]
    assert config_warnings.by_openssh(plain, file) == ""


def test_arguments_of_ssh_count_as_configuration(tmp_path: Path) -> None:
    file = write(tmp_path / "config", "Host a\n  Port 2200\n")
    options = ("-J", "me@jump:2222", "-o", "KnownHostsCommand /bin/keys %H", "-oHostKeyAlias=other")
    hops = ssh_config.route("a", None, None, file, options)
    assert [(hop.name, hop.port, hop.user) for hop in hops[:-1]] == [("jump", 2222, "me")]
    assert (hops[-1].port, hops[-1].recorded) == (2200, "other")
    written = config_files.of_options(options, Origin("hosts.yml", 3))
    assert config_warnings.by_openssh(hops[-1], file, written) == "knownhostscommand /bin/keys %H (hosts.yml:3)"


def test_every_directive_of_this_openssh_is_known() -> None:
    told = subprocess.run(["ssh", "-G", "-F", "none", "a"], capture_output=True, text=True, check=True).stdout
    known = directives.NEUTRAL | directives.OBEYED | directives.IGNORED.keys() | directives.BY_OPENSSH.keys()
    assert {line.split()[0].lower() for line in told.splitlines()} - known == set()


def test_a_user_without_an_account_is_told_to_name_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's job often runs under a number that no account has."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    assert current_user.who() == "uid 54321"
    with pytest.raises(InventoryError, match="uid 54321 has no account") as caught:
        current_user.login()
    assert "ansible_user" in caught.value.fix
    monkeypatch.setenv("USER", "deployer")
    assert current_user.login() == "deployer"
