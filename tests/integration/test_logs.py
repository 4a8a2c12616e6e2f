"""fab logs: all units and hosts as one log; followed over a link that is cut; ended by Ctrl-C on both sides."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from copies import start_copies
from deployed import POSTGRES
from layout import CHECKOUT
from live import LiveLab

from tests.integration.looks import succeeded

SERVER, WORKERS = "vm1", "vm2"
TOKEN, PASSWORD = "a token & that nobody reads", "a-password-of-the-login"
API, WORKER = "prefect-server.service", "prefect-worker-default.service"
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  ")


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vm1 with a server that asks for a login; vm2 with a worker that has a secret."""
    worker = {"pool": "default", "environment": {"TOKEN": {"env": "ENCAMP_TEST_TOKEN"}}}
    host_vars = {SERVER: {"auth": {"env": "ENCAMP_TEST_AUTH"}}, WORKERS: {"workers": [worker]}}
    folder = lab.site(tmp_path_factory.mktemp("logs") / "site", host_vars=host_vars)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text("utf-8"))
    hosts["all"]["children"]["workers"] = {"hosts": {WORKERS: {}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")
    return folder


ENVIRONMENT = {"ENCAMP_TEST_TOKEN": TOKEN, "ENCAMP_TEST_AUTH": f"admin:{PASSWORD}"}


@pytest.fixture(scope="module")
def running(lab: LiveLab, site: Path) -> LiveLab:
    start_copies(lab, {SERVER: POSTGRES})
    lab.up(WORKERS)
    succeeded(lab.fab("-H", f"{SERVER},{WORKERS}", "deploy", "--no-verify", inventory=site, env=ENVIRONMENT))
    for host, unit in ((SERVER, API), (WORKERS, WORKER)):
        folder = f"/etc/systemd/system/{unit}.d"
        drop_in = f"mkdir -p {folder} && printf '[Service]\\nExecReload=/bin/cat /run/said\\n' > {folder}/say.conf"
        lab.ssh(host, f'sudo sh -c "{drop_in} && systemctl daemon-reload"')
    return lab


@pytest.fixture
def logs(running: LiveLab, site: Path) -> Callable[..., str]:
    """What ``fab logs`` of both hosts prints."""

    def run(*options: str) -> str:
        hosts = f"{SERVER},{WORKERS}"
        return succeeded(running.fab("-H", hosts, "logs", *options, inventory=site, env=ENVIRONMENT))

    return run


def say(lab: LiveLab, host: str, unit: str, text: str) -> None:
    """Let a unit print a line: a drop-in gives it a reload that does so."""
    machine = lab.host(host)
    machine.check_output("printf '%%s\\n' %s > /run/said && chmod 644 /run/said", text)
    machine.check_output(f"systemctl reload {unit} && journalctl --sync")


def until(done: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.3)


@contextmanager
def followed(site: Path, out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """``fab logs -f`` of both hosts, printing to a file; killed at the end if it still runs."""
    fab = [str(Path(sys.executable).with_name("fab")), "-H", f"{SERVER},{WORKERS}", "logs", "-f", *options]
    with out.open("w") as shown, (out.parent / "errors").open("w") as errors:
        process = subprocess.Popen(
            [*fab, "--inventory", str(site)],
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
            cwd=CHECKOUT,
            stdout=shown,
            stderr=errors,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


# -- once ------------------------------------------------------------------------------------------------------------


def test_lines_of_all_hosts_and_units_come_in_the_order_of_time(
    running: LiveLab, logs: Callable[..., str], tmp_path: Path
) -> None:
    say(running, SERVER, API, "first said")
    say(running, WORKERS, WORKER, "then said")
    say(running, SERVER, API, "at last said")
    sessions = [running.ssh_sessions(host) for host in (SERVER, WORKERS)]
    shown = logs("-n", "400", "--json", str(tmp_path / "events")).splitlines()
    assert [running.ssh_sessions(host) for host in (SERVER, WORKERS)] == [count + 1 for count in sessions]
    assert all(STAMP.match(line) for line in shown) and shown == sorted(shown, key=lambda line: line[:23])
    said = [line.split(maxsplit=2)[2].split() for line in shown if line.endswith(" said")]
    assert said[-3:] == [
        [SERVER, "server", "first", "said"],
        [WORKERS, "worker-default", "then", "said"],
        [SERVER, "server", "at", "last", "said"],
    ]
    units = {line.split()[3] for line in shown}
    assert {"server", "worker-default", "postgres"} <= units, units
    events = [json.loads(line) for line in (tmp_path / "events").read_text("utf-8").splitlines()]
    lines = [line for event in events if event["event"] == "log" for line in event["lines"]]
    assert [line[3] for line in lines if line[3] == "then said"] and events[-1]["exit_code"] == 0
    assert len(logs("-n", "3").splitlines()) == 3


def test_what_is_wanted_is_chosen_by_unit_level_text_and_time(running: LiveLab, logs: Callable[..., str]) -> None:
    say(running, SERVER, API, "12:00:00.000 | ERROR   | prefect.test - it broke\nTraceback: of it")
    say(running, SERVER, API, "12:00:00.000 | INFO    | prefect.test - it goes on")
    errors = logs("--level", "error", "--unit", "server", "-n", "20")
    assert "it broke" in errors and "Traceback: of it" in errors and "it goes on" not in errors
    assert "it broke" not in logs("--unit", "worker")
    found = logs("--grep", "it (broke|goes on)", "--since", "10 minutes ago").splitlines()
    assert len(found) == 2 and all(" server " in line for line in found)
    recent = logs("--unit", "server", "--since", "1 hour ago", "-n", "20")
    assert "it goes on" in recent and len(recent.splitlines()) <= 20
    assert logs("--since", "tomorrow") == ""
    assert "database system is ready" in logs("--unit", "postgres", "--since", "1 hour ago")


def test_no_secret_shows(running: LiveLab, logs: Callable[..., str]) -> None:
    say(running, SERVER, API, f"login admin:{PASSWORD} of postgresql://me:hunter2@db/prefect")
    say(running, WORKERS, WORKER, f"TOKEN is {TOKEN}")
    shown = logs("--since", "5 minutes ago")
    assert "of postgresql://me:***@db/prefect" in shown and "TOKEN is ***" in shown
    for secret in (PASSWORD, TOKEN, "hunter2"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--level", "loud"), "--level loud: no such level"),
        (("--grep", "("), "--grep (:"),
        (("-n", "0"), "--lines 0: must be a number from 1"),
    ],
)
def test_a_wrong_option_is_told_before_a_host_is_touched(
    running: LiveLab, site: Path, options: tuple[str, ...], text: str
) -> None:
    done = running.fab("-H", SERVER, "logs", *options, inventory=site, env=ENVIRONMENT)
    assert done.returncode == 1 and text in done.stderr and done.stdout == ""


def test_a_time_that_systemd_does_not_know_fails_with_its_words(running: LiveLab, site: Path) -> None:
    done = running.fab("-H", SERVER, "logs", "--since", "whenever", inventory=site, env=ENVIRONMENT)
    assert done.returncode == 2 and "the journal cannot be read" in done.stdout
    assert "whenever" in done.stdout


# -- followed --------------------------------------------------------------------------------------------------------


def agents(lab: LiveLab, host: str) -> int:
    """How many agents run on a host."""
    return int(lab.host(host).run("pgrep -fc '[p]ython3 -I -S -c import'").stdout.strip() or 0)


def test_lines_are_followed_over_a_link_that_is_cut_without_a_gap_or_a_repeat(
    running: LiveLab, site: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shown"
    with followed(site, out) as process:
        until(lambda: out.read_text() and agents(running, SERVER) and agents(running, WORKERS))
        say(running, SERVER, API, "before the cut")
        until(lambda: "before the cut" in out.read_text())
        running.host(SERVER).check_output("pkill -KILL -u deploy -x sshd")
        say(running, SERVER, API, "during the cut")
        say(running, WORKERS, WORKER, "elsewhere meanwhile")
        until(lambda: "during the cut" in out.read_text() and "elsewhere meanwhile" in out.read_text())
        say(running, SERVER, API, "after the cut")
        until(lambda: "after the cut" in out.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    shown, errors = out.read_text(), (tmp_path / "errors").read_text()
    for text in ("before", "during", "after"):
        assert shown.count(f"{text} the cut") == 1, shown
    assert f"{SERVER}: " in errors and "connecting again" in errors and "Traceback" not in errors
    for host in (SERVER, WORKERS):
        until(lambda host=host: agents(running, host) == 0)  # type: ignore[misc]


def test_a_host_that_was_never_reached_is_told_and_the_others_are_followed(
    running: LiveLab, site: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shown"
    with followed(site, out, "--set", "connect_tries=1") as process:
        with running.unplugged(WORKERS):
            until(lambda: out.read_text())
        until(lambda: say(running, SERVER, API, "still there") or "still there" in out.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
