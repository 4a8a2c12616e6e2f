"""Saved plans: what is written, that exactly this is done, and what is refused before any host is changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from live import LiveLab

from tests.integration.looks import Fab, changed, counts, snapshot, succeeded

SERVER, OTHER = "vm2", "new1"
ENV = "/etc/prefect/default/server.env"
REFUSED = 6
INFO = ("--set", "server_log_level=INFO")


@pytest.fixture(scope="module", autouse=True)
def started(lab: LiveLab) -> None:
    """A server that nothing was deployed to."""
    lab.up(SERVER)


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of these tests' own, so that its key is no other's."""
    return lab.site(tmp_path_factory.mktemp("planned"), host_vars={SERVER: {"auth": "auto"}})


def plan(lab: LiveLab, site: Path, file: Path, *arguments: str, hosts: str = SERVER) -> dict[str, Any]:
    """Make a plan; what the file says."""
    succeeded(lab.fab("-H", hosts, "deploy", "--plan", str(file), *arguments, inventory=site))
    made: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return made


def key(site: Path) -> str:
    return (site / "secrets" / "plan-key").read_text("utf-8").strip()


def apply(lab: LiveLab, site: Path, file: Path, *arguments: str) -> Fab:
    return lab.fab("deploy", "--apply", str(file), *arguments, inventory=site)


def refused(done: Fab, *words: str) -> None:
    said = done.stdout + done.stderr
    assert done.returncode == REFUSED, said
    for word in words:
        assert word in said, f"{word!r} is missing in\n{said}"
    assert "Traceback" not in said


def planned(made: dict[str, Any], *statuses: str) -> set[str]:
    steps = [step for job in made["hosts"] for step in [*job["steps"], *job["handlers"]]]
    return {step["id"] for step in steps if step["status"] in statuses}


@pytest.fixture(scope="module")
def applied(lab: LiveLab, site: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Fab]:
    """A fresh host, deployed by a plan: what the plan said, and what applying it printed."""
    file = tmp_path_factory.mktemp("first") / "plan.json"
    before, sessions = snapshot(lab, SERVER), lab.ssh_sessions(SERVER)
    made = plan(lab, site, file)
    assert lab.ssh_sessions(SERVER) == sessions + 1, "one exec makes a plan"
    assert snapshot(lab, SERVER) == before, "making a plan changes nothing"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    done = apply(lab, site, file)
    succeeded(done)
    assert lab.ssh_sessions(SERVER) == sessions + 2, "one exec applies the plan of one host"
    return made, done


def test_a_fresh_host_becomes_a_server_by_a_plan(lab: LiveLab, site: Path, applied: tuple[dict[str, Any], Fab]) -> None:
    made, done = applied
    assert changed(done) <= planned(made, "changed", "unknown")
    # The package of Postgres makes the cluster before its own step comes.
    assert planned(made, "changed") - changed(done) <= {"PostgresCluster:main"}
    assert made["id"] in lab.host(SERVER).file("/var/log/encamp/audit.jsonl").content_string
    again = lab.fab("-H", SERVER, "deploy", inventory=site)
    succeeded(again)
    assert counts(again, SERVER)["changed"] == 0


def test_a_plan_tells_no_secret_and_nothing_to_guess_one_from(
    lab: LiveLab, site: Path, applied: tuple[dict[str, Any], Fab], tmp_path: Path
) -> None:
    host = lab.host(SERVER)
    made = plan(lab, site, tmp_path / "plan.json", *INFO)
    text = json.dumps(made)
    secrets = [path.read_text("utf-8").strip() for path in (site / "secrets").iterdir() if path.name[0] != "."]
    assert len(secrets) >= 2, "a generated auth string, and the key of the plans"
    now = host.file(ENV).content
    assert all(secret in now.decode() for secret in secrets if secret != key(site)), "the file holds the auth string"
    for told in [*secrets, *(hashlib.sha256(secret.encode()).hexdigest() for secret in secrets)]:
        assert told not in text
    assert hashlib.sha256(now).hexdigest() not in text
    (step,) = [step for job in made["hosts"] for step in job["steps"] if step["id"] == f"File:{ENV}"]
    assert step["status"] == "changed" and step["desired"].startswith("hmac-sha256:") and "found" in step
    assert "withheld" in step["changes"][0]["diff"]


def test_a_host_that_moved_on_is_left_as_it_is(
    lab: LiveLab, site: Path, applied: tuple[dict[str, Any], Fab], tmp_path: Path
) -> None:
    file, host = tmp_path / "plan.json", lab.host(SERVER)
    plan(lab, site, file, *INFO)
    before = host.file(ENV).content_string
    host.check_output("sed -i '$a # by hand' %s", ENV)
    state, sessions = snapshot(lab, SERVER), lab.ssh_sessions(SERVER)
    for arguments in ((), ("--check",)):
        refused(
            apply(lab, site, file, *arguments),
            "DRIFTED",
            "has changed since the plan was saved",
            f"File:{ENV}",
            "differs from the planned one",
            "--plan",
        )
    assert snapshot(lab, SERVER) == state
    assert lab.ssh_sessions(SERVER) == sessions + 2
    host.check_output("sed -i '$d' %s", ENV)
    assert host.file(ENV).content_string == before


def test_other_files_or_options_give_another_plan_and_no_host_hears_of_it(
    lab: LiveLab, site: Path, applied: tuple[dict[str, Any], Fab], tmp_path: Path
) -> None:
    file, settings = tmp_path / "plan.json", site / "host_vars" / f"{SERVER}.yml"
    plan(lab, site, file, *INFO)
    sessions, text = lab.ssh_sessions(SERVER), settings.read_text("utf-8")
    try:
        settings.write_text(f"{text}server_environment: {{PREFECT_SERVER_EVENTS_RETENTION_PERIOD: P30D}}\n", "utf-8")
        refused(apply(lab, site, file), "have changed since the plan was made", f"{SERVER}: File:{ENV} has changed")
    finally:
        settings.write_text(text, "utf-8")
    file.write_text(file.read_text("utf-8").replace('"set": [', '"set": ["port=4300",'), "utf-8")
    refused(apply(lab, site, file), "was modified")
    assert lab.ssh_sessions(SERVER) == sessions


def test_a_change_is_reviewed_and_applied_with_its_options(
    lab: LiveLab, site: Path, applied: tuple[dict[str, Any], Fab], tmp_path: Path
) -> None:
    """As in CI: the first job says by its exit code that there is something to review."""
    file = tmp_path / "plan.json"
    done = lab.fab("-H", SERVER, "deploy", "--plan", str(file), "--exit-code", *INFO, inventory=site)
    assert done.returncode == 10, done.stdout + done.stderr
    succeeded(apply(lab, site, file, "--check"))
    done = apply(lab, site, file)
    succeeded(done)
    assert changed(done) == planned(json.loads(file.read_text("utf-8")), "changed")
    assert re.search(r"PREFECT_SERVER_LOGGING_LEVEL=.?INFO", lab.host(SERVER).file(ENV).content_string)
    refused(apply(lab, site, file), "has changed since the plan was saved", "was to be changed, is unchanged")


def test_no_host_is_changed_when_another_one_has_moved_on(
    lab: LiveLab, site: Path, applied: tuple[dict[str, Any], Fab], tmp_path: Path
) -> None:
    lab.up(OTHER)
    file = tmp_path / "plan.json"
    made = plan(lab, site, file, "--set", "server_log_level=DEBUG", "--batch", "1", hosts=f"{SERVER},{OTHER}")
    assert [job["host"] for job in made["hosts"]] == [SERVER, OTHER] and made["options"]["batch"] == "1"
    lab.host(OTHER).check_output("install -d -m 0755 /etc/prefect")
    states = {name: snapshot(lab, name) for name in (SERVER, OTHER)}
    refused(apply(lab, site, file), f"{OTHER}  DRIFTED", "/etc/prefect")
    assert {name: snapshot(lab, name) for name in (SERVER, OTHER)} == states
