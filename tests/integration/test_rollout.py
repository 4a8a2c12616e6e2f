"""A rollout over hosts of which one fails and one cannot be reached: what is begun, what is told, what comes next."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from layout import CHECKOUT
from live import LiveLab

from encamp.output.history import FOLDER, KEEP
from tests.integration.looks import Fab

#: Databases: a host of this kind is deployed to in seconds. ``bare1`` has no Python, nobody listens at ``gone1``.
GOOD, BAD, GONE = "vm2", "bare1", "gone1"
ONCE = ("--set", "connect_tries=1", "--set", "connect_timeout=5")


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A site of three hosts."""
    lab.up(GOOD, BAD)
    folder = lab.site(tmp_path_factory.mktemp("rollout"))
    hosts = yaml.safe_load((folder / "hosts.yml").read_text("utf-8"))
    spare = hosts["all"]["children"].pop("spare")["hosts"]
    with socket.socket() as taken:  # bound and not listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        gone = {"ansible_port": taken.getsockname()[1]}
        hosts["all"]["children"] = {"databases": {"hosts": {GOOD: spare[GOOD], BAD: spare[BAD], GONE: gone}}}
        for host in hosts["all"]["children"]["databases"]["hosts"].values():
            host.pop("public_url", None)
        (folder / "hosts.yml").write_text(yaml.safe_dump(hosts, sort_keys=False), "utf-8")
        yield folder


def deploy(lab: LiveLab, site: Path, *arguments: str) -> Fab:
    return lab.fab("deploy", *ONCE, *arguments, inventory=site)


def ends(done: Fab) -> dict[str, str]:
    """How each host of the recap ended."""
    recap = done.stdout.partition("\nrecap\n")[2]
    found = re.findall(
        r"^  (\w+) +(unreachable|not reached|interrupted|locked)? ?ok=.*failed=(\d)", recap, re.MULTILINE
    )
    return {host: word or ("failed" if failed != "0" else "ok") for host, word, failed in found}


def test_every_end_is_told_apart_and_every_error_at_the_end(lab: LiveLab, site: Path, tmp_path: Path) -> None:
    events, junit = tmp_path / "events", tmp_path / "junit.xml"
    done = deploy(lab, site, "--check", "--json", str(events), "--junit", str(junit))
    assert done.returncode == 2, done.stdout + done.stderr
    assert ends(done) == {GOOD: "ok", BAD: "failed", GONE: "unreachable"}
    errors = done.stdout.partition("\nerrors\n")[2].partition("\nrecap\n")[0]
    assert f"{BAD}  FAILED" in errors and "python3 is not installed" in errors and "apt-get install python3" in errors
    assert f"{GONE}  UNREACHABLE" in errors and "refused" in errors.lower()
    assert "3 hosts: 1 ok, 1 failed, 1 unreachable; " in done.stdout
    recap = json.loads(events.read_text("utf-8").splitlines()[-1])
    assert {host["host"]: host["status"] for host in recap["hosts"]} == ends(done) and recap["exit_code"] == 2
    root = ET.parse(junit).getroot()
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("1", "1", "0")


OK, FAILED, AWAY, LATER = "ok", "failed", "unreachable", "not reached"


@pytest.mark.parametrize(
    ("options", "code", "wanted"),
    [
        pytest.param("--batch 1", 3, {GONE: AWAY, GOOD: LATER, BAD: LATER}, id="the-first-fails"),
        pytest.param("--batch 1", 3, {GOOD: OK, GONE: AWAY, BAD: LATER}, id="the-second-fails"),
        pytest.param("--batch 1 --max-fail 1", 2, {BAD: FAILED, GONE: AWAY, GOOD: LATER}, id="one-may-fail"),
        pytest.param("--batch 34% --max-fail 70%", 2, {BAD: FAILED, GONE: AWAY, GOOD: OK}, id="shares"),
        pytest.param("--any-errors-fatal --forks 1", 2, {BAD: FAILED, GOOD: LATER, GONE: LATER}, id="fatal"),
        pytest.param(f"--limit {GOOD},{GONE}", 3, {GOOD: OK, GONE: AWAY}, id="limit"),
    ],
)
def test_how_far_a_rollout_goes(lab: LiveLab, site: Path, options: str, code: int, wanted: dict[str, str]) -> None:
    """The hosts stand in the order of ``wanted``."""
    order = ",".join(dict.fromkeys([*wanted, GOOD, BAD, GONE]))
    done = lab.fab("-H", order, "deploy", "--check", *ONCE, *options.split(), inventory=site)
    assert (done.returncode, ends(done)) == (code, wanted), done.stdout + done.stderr


def test_retry_takes_the_hosts_that_did_not_end_well(lab: LiveLab, site: Path) -> None:
    first = deploy(lab, site)
    assert ends(first) == {GOOD: "ok", BAD: "failed", GONE: "unreachable"}, first.stdout + first.stderr
    deploy(lab, site, "--check")  # looks only: it is not what --retry means
    again = deploy(lab, site, "--retry")
    assert ends(again) == {BAD: "failed", GONE: "unreachable"} and again.returncode == 2
    everything = lab.fab("history", "--last", str(KEEP), inventory=site).stdout.splitlines()
    told = [line for line in everything if f"  {site}" in line]  # other files of tests run meanwhile
    assert [line.split("  ")[1] for line in told[-3:]] == ["deploy", "deploy --check", "deploy"]
    assert f"not ok: {BAD}, {GONE}" in told[-1]
    latest = sorted((CHECKOUT / FOLDER).glob("*-deploy-*.jsonl"))[-KEEP // 2 :]  # the oldest go away
    records = [path for path in latest if str(site) in path.read_text("utf-8")]
    assert len(records) >= 3 and {path.stat().st_mode & 0o777 for path in records} == {0o600}


def test_retry_after_an_interrupt(lab: LiveLab, site: Path, tmp_path: Path) -> None:
    """The good host is at work when Ctrl-C comes (it waits for a lock), the others have not been begun."""
    assert ends(deploy(lab, site, "--limit", GOOD)) == {GOOD: "ok"}
    events, junit = tmp_path / "events", tmp_path / "junit.xml"
    with held_lock(lab, GOOD):
        running = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("fab")), "deploy", "--wait", "300", "--batch", "1"),
                *("--inventory", str(site), "--json", str(events), "--junit", str(junit), *ONCE),
            ],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        wait_for_event(events, "progress", running)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=180)[0]
    done = subprocess.CompletedProcess(running.args, running.returncode, said, "")
    assert done.returncode == 130 and "Traceback" not in said
    assert ends(done) == {GOOD: "interrupted", BAD: "not reached", GONE: "not reached"}, said
    assert ET.parse(junit).getroot().get("skipped") == "2"
    again = deploy(lab, site, "--retry")
    assert ends(again) == {GOOD: "ok", BAD: "failed", GONE: "unreachable"}


@contextlib.contextmanager
def held_lock(lab: LiveLab, name: str) -> Iterator[None]:
    """Another process has the lock of a host."""
    host = lab.host(name)
    host.check_output("systemd-run --unit=holder --collect flock /run/encamp.lock sleep 600")
    host.check_output("while flock --nonblock /run/encamp.lock true; do sleep 0.1; done")
    try:
        yield
    finally:
        host.check_output("systemctl stop holder")


def wait_for_event(path: Path, kind: str, running: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if path.exists() and f'"event": "{kind}"' in path.read_text("utf-8"):
            return
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    raise AssertionError(path.read_text("utf-8"))
