"""Bad input: each mistake ends with what, where and how to mend it, its exit code, and hosts as they were."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from layout import CHECKOUT, NASTY_PASSWORD
from live import LiveLab

from tests.integration.looks import Fab, counts, snapshot, succeeded

SERVER = "vm2"
USAGE, FAILED, UNREACHABLE, SETTINGS, LOCKED, INTERRUPTED = 1, 2, 3, 4, 5, 130
ONCE = ("--set", "connect_tries=1", "--set", "connect_timeout=1")
SQLITE = ("--set", "database=sqlite")


def refused(done: Fab, code: int, *words: str) -> None:
    """A run that ended as it should: with its exit code, the words an operator needs, and no traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == code, f"fab exited {done.returncode}, not {code}\n{said}"
    for word in words:
        assert word in said, f"{word!r} is missing in\n{said}"
    assert "Traceback" not in said


# -- What is wrong in files and on the command line: no host hears of it ----------------------------------------------

#: id: text of host_vars/vm2.yml, further arguments, exit code, words that must be said.
MISTAKES: dict[str, tuple[str, tuple[str, ...], int, tuple[str, ...]]] = {
    "unknown-key": ("databse: sqlite", (), SETTINGS, ("vm2.yml:2", "no setting databse", "did you mean database?")),
    "wrong-type": ("port: many", (), SETTINGS, ("vm2.yml:2", "port must be a whole number", "many")),
    "wrong-choice": ("database: oracle", (), SETTINGS, ("vm2.yml:2", "postgres, sqlite")),
    "port-70000": ("port: 70000", (), SETTINGS, ("vm2.yml:2", "port is 70000", "1 to 65535")),
    "port-of-ssh": ("port: 22", (), SETTINGS, ("vm2.yml:2", "port is 22", "sshd")),
    "malformed-yaml": ("port: [4200", (), SETTINGS, ("vm2.yml:",)),
    "tab-in-yaml": ("port:\n\t- 4200", (), SETTINGS, ("vm2.yml:3",)),
    "duplicate-key": ("port: 4200\nport: 4201", (), SETTINGS, ("vm2.yml:3", "port")),
    "version-unquoted": ("prefect_version: 3.8", (), SETTINGS, ("vm2.yml:2", "the number 3.8", "in quotes")),
    "version-too-short": ("prefect_version: '3.8'", (), SETTINGS, ("vm2.yml:2", "three numbers", "'3.9.1'")),
    "version-1": ("prefect_version: 1.4.1", (), SETTINGS, ("vm2.yml:2", "older than 2.0")),
    "version-without-lock": ("prefect_version: '3.9.99'", (), SETTINGS, ("vm2.yml:2", "fab lock --prefect 3.9.99")),
    "url-to-listen-on": ("public_url: http://0.0.0.0:4200", (), SETTINGS, ("vm2.yml:2", "address to listen on")),
    "url-of-loopback": ("public_url: http://127.0.0.1:4200", (), SETTINGS, ("vm2.yml:2", "client's own machine")),
    "url-with-bad-port": ("public_url: http://example.com:99999", (), SETTINGS, ("vm2.yml:2", "port")),
    "no-public-url": ("public_url: ''", (), SETTINGS, ("127.0.0.1", "set public_url:")),
    "no-ca-bundle": ("ca_bundle: nosuch.pem", (), SETTINGS, ("vm2.yml:2", "nosuch.pem", "No such file")),
    "no-pem": ("ca_bundle: hosts.yml", (), SETTINGS, ("vm2.yml:2", "hosts.yml")),
    "no-network": ("allowed_sources: [10.0.0.300]", (), SETTINGS, ("vm2.yml:2", "10.0.0.300")),
    "unknown-ssh-option": ("ansible_su: true", (), SETTINGS, ("vm2.yml:2", "encamp becomes root with sudo")),
    "set-unknown-key": ("", ("--set", "databse=sqlite"), SETTINGS, ("--set", "did you mean database?")),
    "set-without-value": ("", ("--set", "port"), USAGE, ("--set port", "for example --set port=4201")),
    "unknown-option": ("", ("--nosuch",), USAGE, ("--nosuch",)),
    "forks-no-number": ("", ("--forks", "many"), USAGE, ("--forks must be a number",)),
    "forks-none": ("", ("--forks", "0"), USAGE, ("--forks must be a number",)),
    "exit-code-without-check": ("", ("--exit-code",), USAGE, ("--check",)),
    "no-key": (
        "ansible_ssh_private_key_file: /nosuch/key",
        (),
        SETTINGS,
        ("vm2.yml:2: /nosuch/key: No such file", "check ansible_ssh_private_key_file"),
    ),
    "not-a-key": ("ansible_ssh_private_key_file: hosts.yml", (), SETTINGS, ("vm2.yml:2", "hosts.yml", "private key")),
    "json-nowhere": ("", ("--json", "/nosuch/events"), USAGE, ("/nosuch/events", "No such file")),
    "no-inventory": ("", ("--inventory", "/nosuch"), SETTINGS, ("/nosuch", "--inventory")),
}


@pytest.fixture(scope="module", autouse=True)
def started(lab: LiveLab) -> None:
    """A server that nothing was deployed to."""
    lab.up(SERVER)


@pytest.fixture
def untouched(lab: LiveLab) -> Iterator[None]:
    """No session on the server while the test lasts."""
    before = lab.ssh_sessions(SERVER)
    yield
    assert lab.ssh_sessions(SERVER) == before


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("text", "arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_input(
    lab: LiveLab, tmp_path: Path, text: str, arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    site = lab.site(tmp_path)
    if text:
        (site / "host_vars").mkdir()
        (site / "host_vars" / f"{SERVER}.yml").write_text(f"---\n{text}\n", "utf-8")
    refused(lab.fab("-H", SERVER, "deploy", *arguments, inventory=site), code, *words)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("hosts", "code", "words"),
    [
        pytest.param("vm2,vm22", SETTINGS, ("no host or group vm22", "did you mean vm2"), id="unknown-host"),
        pytest.param("vm2:!vm2", USAGE, ("no hosts selected",), id="nobody"),
        pytest.param("vm2,laptop1", USAGE, ("laptop1", "not in a group", "configure-client"), id="a-client"),
    ],
)
def test_hosts_that_a_deploy_is_not_for(lab: LiveLab, hosts: str, code: int, words: tuple[str, ...]) -> None:
    refused(lab.fab("-H", hosts, "deploy"), code, *words)


@pytest.mark.usefixtures("untouched")
def test_every_mistake_is_told_at_once(lab: LiveLab, tmp_path: Path) -> None:
    site = lab.site(tmp_path, host_vars={SERVER: {"databse": "sqlite", "port": 0}, "vm1": {"prot": 1}})
    words = ("3 settings are wrong", "vm1.yml:1", "vm2.yml:1", "vm2.yml:2")
    refused(lab.fab("-H", f"{SERVER},vm1", "deploy", inventory=site), SETTINGS, *words)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, to spoil."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("fabfile.py", "fabric.yaml", "encamp", "roles", "templates"):
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    return copy


def fab_in(checkout: Path, lab: LiveLab, *arguments: str) -> Fab:
    """Run fab in another checkout, on this lab's site."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("fab")), *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "ENCAMP_INVENTORY": str(lab.inventory)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("untouched")
def test_a_template_variable_that_nobody_passes(lab: LiveLab, checkout: Path) -> None:
    template = checkout / "templates" / "prefect_server" / "prefect-server.service.j2"
    good = template.read_text("utf-8")
    template.write_text(f"# one\n# {{{{ nosuch }}}}\n{good}", "utf-8")
    words = ("templates/prefect_server/prefect-server.service.j2:2", "'nosuch' is undefined", "correct the template")
    refused(fab_in(checkout, lab, "-H", SERVER, "deploy"), SETTINGS, *words)
    template.write_text(good, "utf-8")


def test_a_python_that_the_release_does_not_run_on(lab: LiveLab, checkout: Path) -> None:
    lock = next((checkout / "roles" / "locks").glob("prefect-3*.txt"))
    good = lock.read_text("utf-8")
    line = next(line for line in good.splitlines() if line.startswith("# requires-python:"))
    lock.write_text(good.replace(line, "# requires-python: >=3.12,<3.15"), "utf-8")
    before = snapshot(lab, SERVER)
    words = ("this host has no Python >=3.12,<3.15", "python3 (3.11", "choose a Prefect release")
    refused(fab_in(checkout, lab, "-H", SERVER, "deploy"), FAILED, *words)
    named = ("--set", "python=/usr/bin/python3")
    refused(fab_in(checkout, lab, "-H", SERVER, "deploy", *named), FAILED, "/usr/bin/python3 is Python 3.11", "python:")
    assert snapshot(lab, SERVER) == before
    lock.write_text(good, "utf-8")


# -- No way in --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param({"ansible_port": 1}, ("127.0.0.1:1: Connection refused", "sshd"), id="closed-port"),
        pytest.param({"ansible_host": "nosuch.invalid"}, ("no address for nosuch.invalid",), id="unknown-name"),
        pytest.param({"ansible_user": "nosuch"}, ("refuses the login of nosuch", "authorized_keys"), id="wrong-user"),
    ],
)
def test_a_host_that_cannot_be_reached(
    lab: LiveLab, tmp_path: Path, variables: dict[str, Any], words: tuple[str, ...]
) -> None:
    site = lab.site(tmp_path, host_vars={SERVER: variables})
    refused(lab.fab("-H", SERVER, "deploy", *ONCE, inventory=site), UNREACHABLE, "UNREACHABLE", *words)


def test_a_host_that_does_not_answer(lab: LiveLab, tmp_path: Path) -> None:
    silent = f"{lab.lab.net}.250"  # an address of the lab's own network that no host has
    site = lab.site(tmp_path, host_vars={SERVER: {"ansible_host": silent, "ansible_port": 22}})
    words = (f"{silent}:22 does not answer within 1 s", "check address")
    refused(lab.fab("-H", SERVER, "deploy", *ONCE, inventory=site), UNREACHABLE, *words)


def make_key(path: Path) -> str:
    """A new key pair; the public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text("utf-8")


@pytest.mark.usefixtures("untouched")
def test_a_key_that_the_host_does_not_accept(lab: LiveLab, tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    site = lab.site(tmp_path, host_vars={SERVER: {"ansible_ssh_private_key_file": "key"}})
    words = (f"refuses the login of deploy with {tmp_path / 'key'}", "ansible_ssh_private_key_file")
    refused(lab.fab("-H", SERVER, "deploy", inventory=site), UNREACHABLE, *words)


def fingerprint(line: str) -> str:
    """SHA256:... of a public key."""
    done = subprocess.run(["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


@pytest.mark.usefixtures("untouched")
def test_a_host_key_that_nobody_knows(lab: LiveLab, tmp_path: Path) -> None:
    site = lab.site(tmp_path, host_vars={SERVER: {"known_hosts": str(tmp_path / "empty")}})
    done = lab.fab("-H", SERVER, "deploy", inventory=site, env={"HOME": str(tmp_path)})
    refused(done, UNREACHABLE, f"the host key of [127.0.0.1]:{lab.port(SERVER)} is unknown", "SHA256:", "accept-new")
    assert f"ssh -p {lab.port(SERVER)} 127.0.0.1" in done.stdout


def test_a_host_key_is_recorded_when_asked_for_and_refused_once_it_changed(lab: LiveLab, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    site = lab.site(tmp_path, host_vars={SERVER: {"known_hosts": str(known), "host_key_checking": "accept-new"}})
    arguments = ("-H", SERVER, "deploy", "--check")
    succeeded(lab.fab(*arguments, inventory=site, env={"HOME": str(tmp_path)}))
    name, kind, key = known.read_text("utf-8").split()
    real = lab.host(SERVER).check_output(f"ssh-keygen -lf /etc/ssh/ssh_host_{kind.removeprefix('ssh-')}_key.pub")
    assert fingerprint(f"{kind} {key}") == real.split()[1]

    forged = make_key(tmp_path / "forged")
    known.write_text(f"{name} {forged}", "utf-8")
    before = lab.ssh_sessions(SERVER)
    done = lab.fab(*arguments, inventory=site, env={"HOME": str(tmp_path)})
    words = ("has changed", fingerprint(forged), real.split()[1], "ssh-keygen -R '[127.0.0.1]:", f"-f {known}")
    refused(done, UNREACHABLE, *words)
    assert lab.ssh_sessions(SERVER) == before
    assert known.read_text("utf-8") == f"{name} {forged}"


def test_a_host_out_of_reach_does_not_hide_another(lab: LiveLab, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    site = lab.site(tmp_path, host_vars={"vm1": {"ansible_port": 1}})
    done = lab.fab("-H", "vm1,vm2", "deploy", "--check", "--json", str(events), *ONCE, inventory=site)
    refused(done, UNREACHABLE, "vm1  UNREACHABLE")
    assert counts(done, "vm2")["would-change"] > 5
    assert counts(done, "vm1") == {"ok": 0, "would-change": 0, "failed": 0, "execs": 0, "sent": 0}
    ended = [event for event in read_events(events) if event["event"] == "ended"]
    assert {event["host"]: event["status"] for event in ended} == {"vm1": "unreachable", "vm2": "ok"}


def read_events(path: Path) -> list[dict[str, Any]]:
    """A JSON-lines file: the run first, the recap last, between them events with a host each."""
    events: list[dict[str, Any]] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert all({"time", "event"} <= event.keys() for event in events)
    assert (events[0]["event"], events[-1]["event"]) == ("run", "recap")
    assert all("host" in event for event in events[1:-1])
    return events


# -- Not root ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "guess"], ids=["no-password", "a-password"])
def test_a_user_without_sudo(lab: LiveLab, tmp_path: Path, password: str) -> None:
    site = lab.site(tmp_path, host_vars={SERVER: {"ansible_user": "plain"}})
    before = snapshot(lab, SERVER)
    started = time.monotonic()
    done = lab.fab("-H", SERVER, "deploy", inventory=site, env={"ENCAMP_BECOME_PASSWORD": password})
    refused(done, FAILED, "become root", "sudo", "ENCAMP_BECOME_PASSWORD")
    assert time.monotonic() - started < 30, "it waited for a password that nobody types"
    assert snapshot(lab, SERVER) == before


def test_a_login_without_a_shell(lab: LiveLab) -> None:
    words = ("the agent did not start", "This account is currently not available")
    refused(lab.fab("-H", SERVER, "deploy", "--set", "ansible_user=nobody"), FAILED, *words)


def test_a_login_as_root_that_sshd_refuses(lab: LiveLab) -> None:
    lab.ssh(SERVER, "echo PermitRootLogin no | sudo tee /etc/ssh/sshd_config.d/root.conf; sudo systemctl reload ssh")
    refused(lab.fab("-H", SERVER, "deploy", "--set", "ansible_user=root"), UNREACHABLE, "login of root")
    lab.ssh(SERVER, "sudo rm /etc/ssh/sshd_config.d/root.conf; sudo systemctl reload ssh")


def test_root_needs_no_sudo(lab: LiveLab) -> None:
    succeeded(lab.fab("-H", SERVER, "deploy", "--check", "--set", "ansible_user=root"))


@pytest.mark.parametrize(
    ("password", "words"), [("", ("asks for a password",)), ("wrong", ("does not accept the password",))]
)
def test_sudo_with_a_password_that_is_wrong_or_missing(lab: LiveLab, password: str, words: tuple[str, ...]) -> None:
    lab.up("nasty1")
    before = snapshot(lab, "nasty1")
    done = lab.fab("-H", "nasty1", "deploy", env={"ENCAMP_BECOME_PASSWORD": password})
    refused(done, FAILED, "become root", *words)
    assert snapshot(lab, "nasty1") == before


def test_sudo_with_the_right_password_on_a_host_that_chatters(lab: LiveLab) -> None:
    done = lab.fab("-H", "nasty1", "deploy", "--check", "--diff", env={"ENCAMP_BECOME_PASSWORD": NASTY_PASSWORD})
    assert counts(done, "nasty1")["would-change"] > 5, succeeded(done)
    assert NASTY_PASSWORD not in done.stdout + done.stderr


# -- A host that cannot become what it should -------------------------------------------------------------------------


def test_a_port_that_another_program_has(lab: LiveLab) -> None:
    host = lab.host(SERVER)
    host.check_output("systemd-run --unit=squatter --collect python3 -m http.server 4200")
    try:
        assert lab.ssh(SERVER, "for i in 1 2 3 4 5 6 7 8 9; do curl -s 127.0.0.1:4200 && break; sleep 1; done").stdout
        before = snapshot(lab, SERVER)
        refused(lab.fab("-H", SERVER, "deploy"), FAILED, "port 4200 is already in use by python3", "stop that program")
        assert snapshot(lab, SERVER) == before
    finally:
        host.check_output("systemctl stop squatter")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tiny1", ("not enough free space", "/opt", "600 MiB required", "free ")),
        ("bare1", ("python3 is not installed on the host", "apt-get install python3")),
    ],
)
def test_a_host_that_lacks_something(lab: LiveLab, name: str, words: tuple[str, ...]) -> None:
    lab.up(name)
    before = snapshot(lab, name)
    refused(lab.fab("-H", name, "deploy"), FAILED, *words)
    assert snapshot(lab, name) == before


# -- Two at once, and stopped in the middle ---------------------------------------------------------------------------


class Deploy:
    """A deploy under way."""

    def __init__(self, lab: LiveLab, events: Path, *arguments: str) -> None:
        self._events = events
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("fab")), *arguments, "--json", str(events)],
            cwd=CHECKOUT,
            env={**os.environ, "ENCAMP_INVENTORY": str(lab.inventory), "USER": "alice", "LOGNAME": "alice"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=restore_interrupts,
        )

    def wait_for(self, step: str) -> None:
        """Wait until the host has begun a step."""
        for _ in range(600):
            text = self._events.read_text("utf-8") if self._events.exists() else ""
            lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
            if any(event["event"] == "start" and event["step"].startswith(step) for event in lines):
                return
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.1)
        raise AssertionError(f"{step} was not begun\n{text}")

    def interrupt(self) -> Fab:
        """Press Ctrl-C, and wait for the end."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)


def restore_interrupts() -> None:
    """Undo what a shell does to what it runs in the background: such a process would never see Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_second_run_is_refused_and_one_that_is_stopped_is_continued(lab: LiveLab, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    first = Deploy(lab, events, "-H", SERVER, "deploy", *SQLITE)
    first.wait_for("PythonEnv:")

    second = lab.fab("-H", SERVER, "deploy", *SQLITE)
    refused(second, LOCKED, "another run is working there: deploy by alice from ", ", since 20", "pid ", "wait until")
    assert counts(second, SERVER)["changed"] == 0
    assert "would" in succeeded(lab.fab("-H", SERVER, "deploy", "--check", *SQLITE)), "looking is always allowed"

    stopped = first.interrupt()
    refused(stopped, INTERRUPTED, f"{SERVER}  INTERRUPTED  PythonEnv:", "the run was stopped", "run again")
    assert counts(stopped, SERVER)["changed"] > 3
    assert [host["status"] for host in read_events(events)[-1]["hosts"]] == ["interrupted"]

    # The step at hand ends by itself; until then the host is locked.
    lab.host(SERVER).check_output("flock --timeout 300 /run/encamp.lock true")
    done = lab.fab("-H", SERVER, "deploy", *SQLITE, "--json", str(events))
    assert "log line read back" in succeeded(done)
    statuses = {event["status"] for event in read_events(events) if event["event"] == "step"}
    assert "changed" in statuses and "failed" not in statuses
    assert counts(lab.fab("-H", SERVER, "deploy", *SQLITE), SERVER)["changed"] == 0


def test_plain_fabric_still_works(lab: LiveLab) -> None:
    lab.up("tiny1")
    done = lab.fab("-S", str(lab.lab.ssh_config), "-H", f"{SERVER},tiny1", "--", "uname", "-n")
    assert succeeded(done).split() == [SERVER, "tiny1"]
