"""Ordinary work on a worker: it clones over SSH, installs requirements, and uses what its settings open of the host."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from copies import start_copies
from deployed import SQLITE
from live import LiveLab

from tests.integration.looks import Fab, api, counts, look, succeeded

HOST = "vm1"
API = "http://127.0.0.1:4200/api"
REPOSITORY = "ssh://git@127.0.0.1/srv/git/flows.git"
#: A lived-in host: data that a group may write, code in a closed home, an account and a group of the owner's, a git
#: server that wants a key, a flow with requirements, whose package only the repository has.
PREPARE = r"""
set -eu
groupadd etl; groupadd shared
useradd --create-home --gid etl --groups shared etl
chmod 700 /home/etl
install -d -o root -g shared -m 2775 /data
install -d -o etl -g shared -m 755 /home/etl/models && echo model > /home/etl/models/name && echo secret > /home/etl/key
cat > /tmp/flow.py <<'END'
import os, pathlib, subprocess, sys
from prefect import flow

@flow
def work():
    import tiny
    home = pathlib.Path("/home/etl")
    seen = [tiny.VALUE, (home / "models/name").read_text().strip(), str((home / "key").exists()), os.getcwd()]
    pathlib.Path("/data/seen").write_text("\n".join(seen))

@flow
def shut(path="/data/more"):
    pathlib.Path(path).write_text("x")
END
apt-get -qq update
apt-get -qq -y install --no-install-recommends git >/dev/null
useradd --create-home --home-dir /srv/git --shell /bin/sh git
passwd -q -d git
ssh-keygen -q -t ed25519 -N "" -f /root/deploy_key
install -d -o git -g git -m 700 /srv/git/.ssh
install -o git -g git -m 600 /root/deploy_key.pub /srv/git/.ssh/authorized_keys
mkdir /tmp/work; cd /tmp/work
mv /tmp/flow.py .
mkdir wheels
python3 - <<'END'
import zipfile
with zipfile.ZipFile("wheels/tiny-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("tiny.py", "VALUE = 'tiny 1.0'\n")
    wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\ntiny-1.0.dist-info/METADATA,,\n")
END
printf -- '--no-index\n--find-links wheels\ntiny==1.0\nprefect\n' > requirements.txt
git init -q; git add .; git -c user.name=a -c user.email=a@example.com commit -qm flows
git clone -q --bare . /srv/git/flows.git; chown -R git: /srv/git/flows.git
cp -r /tmp/work /srv/plain
"""
OPEN: dict[str, Any] = {
    "pool": "open",
    "pip": True,
    "groups": ["shared"],
    "writable_paths": ["/data"],
    "readable_paths": ["/home/etl/models"],
    "deploy_key": {"file": "deploy_key"},
    "known_hosts": ["known_hosts"],
}
#: Where flow runs of the open worker install.
OVERLAY = "/var/lib/prefect/default-pip.worker-open-*/lib/python3*/site-packages"
OWN: dict[str, Any] = {"pool": "own", "user": "etl", "writable_paths": ["/data", "/home/etl/models"]}


class Site:
    """The site, and the API of its server as its host sees it."""

    def __init__(self, lab: LiveLab, folder: Path) -> None:
        self.lab, self.folder = lab, lab.site(folder, host_vars={HOST: {"database": "sqlite"}})
        inside = lab.lab.container(HOST)
        subprocess.run(["docker", "exec", "-i", inside, "sh"], input=PREPARE.encode(), check=True, capture_output=True)
        for name, path in (("deploy_key", "/root/deploy_key"), ("known_hosts", "/etc/ssh/ssh_host_ed25519_key.pub")):
            text = lab.host(HOST).check_output(f"cat {path}")
            (folder / name).write_text(text if name == "deploy_key" else f"127.0.0.1 {text}\n", "utf-8")
        (folder / "deploy_key").chmod(0o600)

    def declare(self, *workers: dict[str, Any], **more: Any) -> None:
        path = self.folder / "host_vars" / f"{HOST}.yml"
        path.write_text(yaml.safe_dump({"database": "sqlite", "workers": list(workers), **more}), "utf-8")

    def deploy(self, *options: str) -> Fab:
        return self.lab.fab("-H", HOST, "deploy", *options, inventory=self.folder)

    def call(self, path: str, body: object = None) -> Any:
        """The API; asked again where SQLite is too busy to answer."""
        for _ in range(30):
            found = api(self.lab, HOST, f"{API}/{path}", body)
            if not (isinstance(found, dict) and "exception_message" in found):
                break
            time.sleep(1)
        return found

    def deployment(self, pool: str, flow: str, steps: list[dict[str, Any]]) -> str:
        """A deployment of a flow to a pool. Returns its id."""
        body = {
            "name": f"{flow}-{pool}",
            "flow_id": self.call("flows/", {"name": flow})["id"],
            "work_pool_name": pool,
            "entrypoint": f"flow.py:{flow}",
            "pull_steps": steps,
        }
        return str(self.call("deployments/", body)["id"])

    def run(self, pool: str, flow: str, steps: list[dict[str, Any]]) -> str:
        """Have the worker of a pool run a flow. Returns the state in which it ends."""
        deployment = self.deployment(pool, flow, steps)
        state = {"state": {"type": "SCHEDULED", "name": "Scheduled"}}
        run = self.call(f"deployments/{deployment}/create_flow_run", state)["id"]
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            found = str(self.call(f"flow_runs/{run}")["state_type"])
            if found in ("COMPLETED", "FAILED", "CRASHED"):
                return found
            time.sleep(1)
        return "late"


STEPS = "prefect.deployments.steps"
PLAIN = [{f"{STEPS}.set_working_directory": {"directory": "/srv/plain"}}]
CLONE = [
    {f"{STEPS}.git_clone": {"id": "clone", "repository": REPOSITORY}},
    {f"{STEPS}.pip_install_requirements": {"directory": "{{ clone.directory }}"}},
]


@pytest.fixture(scope="module")
def first(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Fab]:
    """The host with its owner's things, a worker for which nothing is opened but what a flow needs at all, and what
    the first deploy did."""
    start_copies(lab, {HOST: SQLITE})
    made = Site(lab, tmp_path_factory.mktemp("access"))
    made.declare({"pool": "closed"}, OPEN, OWN)
    return made, made.deploy()


@pytest.fixture(scope="module")
def site(first: tuple[Site, Fab]) -> Site:
    """The same, once it has succeeded."""
    succeeded(first[1])
    return first[0]


def test_the_proof_installs_a_requirement_and_leaves_none(site: Site, first: tuple[Site, Fab]) -> None:
    assert "(worker default open)" in first[1].stdout, "the worker that may install is the one to prove"
    recap = first[1].stdout.partition("\nrecap")[2]
    assert f"{HOST}  not proven: a flow run on prefect-worker-closed, prefect-worker-own:" in recap, first[1].stdout
    host = site.lab.host(HOST)
    assert host.run(f"ls {OVERLAY}/ | grep encamp_proof").stdout == ""


def test_verify_runs_a_flow_on_each_worker_and_names_what_they_do_not_show(site: Site) -> None:
    done = site.lab.fab("-H", HOST, "verify", inventory=site.folder)
    succeeded(done)
    assert all(f"(worker default {pool})" in done.stdout for pool in ("closed", "open", "own")), done.stdout
    shut = [line for line in done.stdout.splitlines() if "not proven: pip_install_requirements" in line]
    assert len(shut) == 2 and all("`pip: true` lets them" in line for line in shut), done.stdout


def test_the_proof_fails_where_requirements_cannot_be_installed(site: Site) -> None:
    host = site.lab.host(HOST)
    host.check_output(f"chown root: {OVERLAY}")
    try:
        done = site.lab.fab("-H", HOST, "verify", inventory=site.folder)
    finally:
        host.check_output(f"chown prefect-worker: {OVERLAY}")
    assert done.returncode == 2 and "pip_install_requirements failed" in done.stdout, done.stdout
    assert "Permission denied" in done.stdout, done.stdout


def test_a_flow_is_cloned_over_ssh_its_requirements_installed_and_what_is_opened_used(site: Site) -> None:
    host = site.lab.host(HOST)
    assert site.run("open", "work", CLONE) == "COMPLETED", host.check_output(
        "journalctl -q -o cat -n 60 -u prefect-worker-open"
    )
    tiny, model, key, _ = host.file("/data/seen").content_string.splitlines()
    assert (tiny, model, key) == ("tiny 1.0", "model", "False")
    locked = host.check_output("ls -d /opt/prefect/envs/*/lib/python3*/site-packages/")
    assert not host.file(f"{locked}tiny.py").exists, "the locked environment stays as it is"


def test_the_key_is_the_workers_alone(site: Site) -> None:
    host = site.lab.host(HOST)
    key = host.file("/etc/prefect/default/worker-open.key")
    assert (key.mode, key.user) == (0o600, "prefect-worker")
    host.check_output("sed -n 5p /root/deploy_key | cut -c1-50 > /root/part && test $(wc -c < /root/part) = 51")
    where = "(journalctl -q -o cat; cat /proc/[0-9]*/cmdline; cat /var/log/*) 2>/dev/null"
    assert host.check_output(f"{where} | grep -acFf /root/part || true") == "0"


def test_an_account_of_the_owners_stays_as_it_was(site: Site) -> None:
    host = site.lab.host(HOST)
    assert site.run("own", "shut", PLAIN) == "COMPLETED"
    assert host.file("/data/more").user == "etl"
    assert host.user("etl").home == "/home/etl" and host.user("etl").shell.endswith("sh")
    assert host.file("/home/etl").mode == 0o700


def test_a_second_deploy_changes_nothing(site: Site) -> None:
    done = site.deploy()
    succeeded(done)
    assert counts(done, HOST)["changed"] == 0


def test_the_doctor_names_the_sandbox_where_a_flow_run_met_it(site: Site) -> None:
    assert site.run("closed", "shut", PLAIN) == "FAILED"
    site.deployment("closed", "work", CLONE)
    done = site.lab.fab("-H", HOST, "doctor", inventory=site.folder)
    assert "has no pip: work-closed" in look(done, "pull steps") and "pip: true" in look(done, "pull steps")
    found = look(done, "sandbox")
    assert "/data/more" in found and "writable_paths: [/data]" in found, done.stdout


def test_what_cannot_be_used_is_refused_before_the_unit_changes(site: Site) -> None:
    host = site.lab.host(HOST)
    for worker, reason in (
        ({"writable_paths": ["/missing"]}, "/missing does not exist on this host"),
        ({"groups": ["nogroup-here"]}, "no group nogroup-here"),
        ({"user": "nobody-here"}, "no account nobody-here"),
        ({"writable_paths": ["/srv/plain"]}, "cannot write /srv/plain (root:root, 0755)"),
    ):
        site.declare({"pool": "closed", **worker}, OPEN, OWN)
        done = site.deploy("--no-verify")
        assert done.returncode == 2 and reason in done.stdout + done.stderr, json.dumps([worker, done.stdout])
        assert host.service("prefect-worker-open").is_running


#: What unattended upgrades do on a first boot: they hold dpkg's lock, as a unit of their own.
HOLD = (
    "systemd-run --quiet --unit=nightly-upgrade python3 -c 'import fcntl, time; "
    'held = open("/var/lib/dpkg/lock-frontend", "w"); fcntl.lockf(held, fcntl.LOCK_EX); time.sleep(600)\''
)


def test_who_holds_the_lock_is_named(site: Site) -> None:
    host = site.lab.host(HOST)
    site.declare({"pool": "closed", "system_packages": ["git", "tree"]}, OPEN, OWN, apt_lock_timeout=6)
    host.check_output(HOLD)
    try:
        done = site.deploy("--no-verify")
    finally:
        host.check_output("systemctl stop nightly-upgrade")
    assert done.returncode == 2 and "could not install tree" in done.stdout, done.stdout
    waiting = next(line for line in done.stdout.splitlines() if "waiting for another package manager" in line)
    assert "python3" in waiting and "nightly-upgrade.service" in waiting
    assert "nightly-upgrade.service" in done.stdout.partition("FAILED")[2], "the failure names it, too"


def test_the_updates_own_error_is_the_cause(site: Site) -> None:
    host = site.lab.host(HOST)
    site.declare({"pool": "closed", "system_packages": ["git", "not-a-package"]}, OPEN, OWN)
    host.check_output("echo 'deb http://nowhere.invalid/debian x main' > /etc/apt/sources.list.d/x.list")
    try:
        done = site.deploy("--no-verify")
    finally:
        host.check_output("rm /etc/apt/sources.list.d/x.list")
    assert done.returncode == 2 and "cannot resolve nowhere.invalid" in done.stdout, done.stdout
