"""``runtime: compose``: Docker on a fresh host, Prefect and Postgres as a stack that a systemd unit owns.

The images are built on this machine (tests/lab/containers.py) and reach the host as an archive: it has no registry.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import containers
import pytest
from live import LiveLab

from tests.integration.looks import Fab, changed, counts, look, succeeded

HOST = "docker1"
UNIT = "prefect-server.service"
STACK = "/etc/prefect/default/compose/stack"
SERVER, POSTGRES = "prefect-server", "prefect-postgres"
AUTH = "admin:a$1 \"quoted\" 'hunter-2-words' \\ 100%"
FLOW = """
from prefect import flow

@flow(name="kept")
def kept():
    return 1

kept()
"""


class Stack:
    """The stack on its host, to look at and to disturb."""

    def __init__(self, lab: LiveLab, folder: Path) -> None:
        images = containers.ensure()
        self.lab = lab
        secret = folder / "auth"
        secret.write_text(AUTH)
        secret.chmod(0o600)
        self.settings: dict[str, Any] = {
            "runtime": "compose",
            "prefect_image": images.prefect,
            "postgres_image": images.postgres,
            "image_archive": str(images.archive),
            "auth": {"file": str(secret)},
            "allowed_sources": [f"{lab.address('laptop1')}/32"],
        }
        self.changed: list[str] = []
        self.site = lab.site(folder / "site", host_vars={HOST: self.settings})

    @property
    def url(self) -> str:
        return f"http://{self.lab.address(HOST)}:4200"

    def fab(self, *arguments: str) -> Fab:
        return self.lab.fab("-H", HOST, *arguments, *self.changed, inventory=self.site)

    def run(self, command: str) -> str:
        return str(self.lab.host(HOST).check_output(command))

    def inspect(self, name: str) -> Any:
        return json.loads(self.run(f"docker inspect {name}"))[0]

    def started(self, name: str) -> str:
        return str(self.inspect(name)["State"]["StartedAt"])

    def psql(self, query: str) -> str:
        return self.run(f'{STACK} exec -T postgres psql -XAtq -U prefect -c "{query}" prefect')

    def runs(self) -> list[str]:
        """The flow runs, as a laptop reads them from the API."""
        body = ["-H", "Content-Type: application/json", "-d", "{}"]
        done = self.curl("laptop1", f"{self.url}/api/flow_runs/filter", "-u", AUTH, *body)
        return [run["state_type"] for run in json.loads(done.stdout)]

    def curl(self, source: str, url: str, *options: str) -> Any:
        words = " ".join("%s" for _ in options)
        return self.lab.host(source).run(f"curl -sS --max-time 10 {words} %s", *options, url)

    def ready(self) -> bool:
        return bool(self.curl(HOST, "http://127.0.0.1:4200/api/ready", "-f").rc == 0)


def wait(what: str, holds: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def stack(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    found = Stack(lab, tmp_path_factory.mktemp("compose"))
    lab.up("laptop1", HOST)
    return found


@pytest.fixture(scope="module")
def first(stack: Stack) -> str:
    """What the first deploy printed, on a host without Docker."""
    assert not stack.lab.host(HOST).exists("docker")
    return succeeded(stack.fab("deploy"))


@pytest.fixture(scope="module")
def deployed(stack: Stack, first: str) -> Stack:
    """The stack, and in it one flow run of a real client that every later test must find again."""
    script = ["docker", "exec", "-i", "-e", f"PREFECT_API_URL={stack.url}/api", "-e", f"PREFECT_API_AUTH_STRING={AUTH}"]
    where = ["docker", "exec", "-i", stack.lab.lab.container(HOST)]
    done = subprocess.run([*where, *script, SERVER, "python", "-"], input=FLOW, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return stack


def test_the_first_deploy_installs_docker_and_ends_with_a_flow_run_read_back(first: str) -> None:
    assert re.search(r"flow run [0-9a-f-]{36}, task run [0-9a-f-]{36}, log line read back", first)
    assert "DockerEngine:docker" in first and "docker: absent -> installed" in first


def test_a_laptop_reads_the_flow_run_and_it_is_in_the_stacks_postgres(deployed: Stack) -> None:
    assert deployed.runs() == ["COMPLETED"]
    assert deployed.psql("SELECT state_type FROM flow_run") == "COMPLETED"
    ui = json.loads(deployed.curl("laptop1", f"{deployed.url}/ui-settings").stdout)
    assert ui["api_url"] == f"{deployed.url}/api"


def test_a_second_deploy_changes_nothing(deployed: Stack) -> None:
    before = deployed.started(SERVER), deployed.started(POSTGRES)
    done = deployed.fab("deploy")
    succeeded(done)
    assert counts(done, HOST)["changed"] == 0
    assert deployed.fab("deploy", "--check", "--exit-code").returncode == 0
    assert (deployed.started(SERVER), deployed.started(POSTGRES)) == before


def test_containers_are_unprivileged_pinned_bounded_and_watched(deployed: Stack) -> None:
    server, postgres = deployed.inspect(SERVER), deployed.inspect(POSTGRES)
    uid = deployed.run("id -u prefect")
    assert server["Config"]["User"].split(":")[0] == uid
    assert server["HostConfig"]["ReadonlyRootfs"] and server["HostConfig"]["CapDrop"] == ["ALL"]
    assert not server["HostConfig"]["Privileged"] and not postgres["HostConfig"]["Privileged"]
    assert postgres["HostConfig"]["NetworkMode"] == "none" and not postgres["NetworkSettings"]["Ports"]
    wait("healthy", lambda: deployed.inspect(SERVER)["State"]["Health"]["Status"] == "healthy")
    assert postgres["State"]["Health"]["Status"] == "healthy"
    named = {mount["Name"] for found in (server, postgres) for mount in found["Mounts"] if mount["Type"] == "volume"}
    assert named == {"prefect-home", "prefect-database", "prefect_socket"}


def test_the_unit_is_confined_like_any_other_service(deployed: Stack) -> None:
    assert "OK" in deployed.run(f"systemd-analyze security {UNIT} --no-pager | tail -1")


def test_secrets_are_in_files_of_root_and_nowhere_else(deployed: Stack) -> None:
    password = deployed.run("cat /var/lib/prefect/default/postgres-password")
    assert len(password) >= 32
    for name in (SERVER, POSTGRES):
        seen = deployed.run(f"docker inspect {name}") + deployed.run(f"docker exec {name} env")
        assert password not in seen and "hunter-2-words" not in seen
    argv = deployed.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert password not in argv and "hunter-2-words" not in argv
    for secret in (password, "hunter-2-words"):
        readable = f"grep -rlF '{secret}' /etc /run /var/lib/prefect /var/log /tmp /root 2>/dev/null"
        assert deployed.lab.host(HOST).run(f"runuser -u plain -- {readable}").stdout == ""
    assert deployed.run("stat -c '%a %U' /var/lib/prefect/default/postgres-password") == "600 root"
    assert deployed.run("stat -c '%a %U:%G' /etc/prefect/default/server.env") == "640 root:prefect"


def test_the_database_asks_for_its_password(deployed: Stack) -> None:
    login = "docker exec -e PGPASSFILE=/nowhere prefect-postgres psql -w -U prefect -c 'SELECT 1' prefect"
    refused = deployed.lab.host(HOST).run(login)
    assert refused.rc != 0 and "password" in refused.stderr


def test_auth_and_the_hosts_firewall_hold_as_for_any_other_service(deployed: Stack) -> None:
    address = f"{deployed.url}/api/admin/version"
    status = ["-o", "/dev/null", "-w", "%{http_code}"]
    assert deployed.curl("laptop1", address, *status).stdout == "401"
    assert deployed.curl("laptop1", address, *status, "-u", AUTH).stdout == "200"
    # This machine is not among the allowed sources: Docker opens no way around the host's firewall.
    here = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "--max-time", "3", f"{deployed.url}/api/health"], check=False
    )
    assert here.returncode == 28


def test_a_changed_setting_restarts_the_server_and_leaves_postgres_running(deployed: Stack) -> None:
    server, postgres = deployed.started(SERVER), deployed.started(POSTGRES)
    deployed.changed = ["--set", "server_log_level=INFO"]  # from here on
    done = deployed.fab("deploy", "--no-verify")
    succeeded(done)
    assert changed(done) == {"File:/etc/prefect/default/server.env", f"StackRestart:{UNIT}"}
    assert deployed.started(SERVER) != server and deployed.started(POSTGRES) == postgres


def test_a_killed_server_and_a_killed_postgres_come_back_by_themselves(deployed: Stack) -> None:
    server, postgres = deployed.started(SERVER), deployed.started(POSTGRES)
    deployed.run(f"docker kill {SERVER}")
    deployed.run(f"kill -9 {deployed.inspect(POSTGRES)['State']['Pid']}")
    wait("the server", lambda: deployed.lab.host(HOST).service(UNIT).is_running and deployed.ready())
    assert deployed.started(SERVER) != server and deployed.started(POSTGRES) != postgres
    assert deployed.runs() == ["COMPLETED"]


def test_the_unit_tells_the_truth_and_stopping_it_stops_the_stack_but_no_volume(deployed: Stack) -> None:
    deployed.run(f"systemctl stop {UNIT}")
    assert deployed.run("docker ps --all --quiet") == ""
    assert "prefect-database" in deployed.run("docker volume ls --quiet")
    assert deployed.curl(HOST, "http://127.0.0.1:4200/api/health").rc == 7
    deployed.run(f"systemctl start {UNIT}")
    wait("the server", deployed.ready)
    assert deployed.runs() == ["COMPLETED"]


def test_the_doctor_says_that_it_is_stopped_and_starts_it(deployed: Stack) -> None:
    """What is in a container that does not run is not looked at, rather than told as a fault of its own."""
    deployed.run(f"systemctl stop {UNIT}")
    told = deployed.fab("doctor")
    assert told.returncode == 2 and f"{UNIT} is stopped" in look(told, "unit"), told.stdout
    assert "connection" not in told.stdout
    mended = deployed.fab("doctor", "--fix")
    assert mended.returncode == 0 and f"fixed: starts {UNIT}" in mended.stdout, mended.stdout
    assert deployed.runs() == ["COMPLETED"]


def test_verify_and_the_doctor_look_into_the_stack(deployed: Stack) -> None:
    assert "log line read back" in succeeded(deployed.fab("verify"))
    done = deployed.fab("doctor")
    assert done.returncode == 0, done.stdout
    assert "prefect on PostgreSQL" in look(done, "connection")
    assert "this release's" in look(done, "schema") and "connections are used" in look(done, "head-room")


def test_a_container_removed_by_hand_is_put_back_by_a_deploy(deployed: Stack) -> None:
    deployed.run(f"docker rm --force {POSTGRES}")
    done = deployed.fab("deploy", "--no-verify")
    succeeded(done)
    assert changed(done) == {f"StackContainers:{UNIT}"}
    assert deployed.runs() == ["COMPLETED"]


def test_after_a_reboot_the_stack_comes_back_by_itself(deployed: Stack) -> None:
    deployed.lab.reboot(HOST)
    wait("the server", deployed.ready)
    assert deployed.runs() == ["COMPLETED"]
    assert counts(deployed.fab("deploy"), HOST)["changed"] == 0


def test_another_runtime_is_refused_before_anything_is_changed(deployed: Stack) -> None:
    server = deployed.started(SERVER)
    done = deployed.fab("deploy", "--set", "runtime=systemd")
    assert done.returncode == 2
    assert "already runs on this host with runtime: compose" in done.stdout and "fab undeploy" in done.stdout
    assert counts(done, HOST)["changed"] == 0 and deployed.started(SERVER) == server


def test_another_stack_of_that_name_is_refused_before_any_change(deployed: Stack) -> None:
    label = "--label com.docker.compose.project"
    place = f"{label}=prefect {label}.working_dir=/home/flows/prefect"
    deployed.run(f"docker create --name flows-db {place} {deployed.settings['prefect_image']} true")
    try:
        done = deployed.fab("deploy", "--check", "--set", "analytics=true")
    finally:
        deployed.run("docker rm flows-db")
    assert done.returncode == 2, done.stdout
    said = re.sub(r"\s+", " ", done.stdout)
    assert "a container flows-db of the Compose project prefect in /home/flows/prefect that encamp did not make" in said
    assert not changed(done, "would")


def test_undeploy_keeps_the_data_and_a_new_deploy_finds_it(deployed: Stack) -> None:
    deployed.changed = []
    succeeded(deployed.fab("undeploy"))
    assert deployed.run("docker ps --all --quiet") == ""
    assert not deployed.lab.host(HOST).file(f"/etc/systemd/system/{UNIT}").exists
    succeeded(deployed.fab("deploy", "--no-verify"))
    assert deployed.runs() == ["COMPLETED"]


def test_https_in_front_of_the_stack(deployed: Stack) -> None:
    """From here on the server listens on loopback alone, and Caddy on the host in front of it."""
    settings = {**deployed.settings, "tls": "internal", "public_url": f"https://{deployed.lab.address(HOST)}"}
    deployed.site = deployed.lab.site(deployed.site.parent / "https", host_vars={HOST: settings})
    succeeded(deployed.fab("deploy"))
    assert counts(deployed.fab("deploy"), HOST)["changed"] == 0
    authority = deployed.run(f"cat /etc/encamp/ca/api-{HOST}-default.pem")
    deployed.lab.ssh("laptop1", "cat > authority.pem", text=authority)
    options = ("-f", "-u", AUTH, "--cacert", "/home/dev/authority.pem")
    outside = deployed.curl("laptop1", f"{settings['public_url']}/api/admin/version", *options)
    inside = deployed.curl(HOST, "http://127.0.0.1:4200/api/admin/version", *options[:3])
    assert outside.rc == 0 and outside.stdout == inside.stdout != "", (outside, inside)
    around = deployed.curl("laptop1", f"{deployed.url}/api/health")
    assert around.rc in (7, 28), "refused by the host, or dropped by its firewall"


def test_bad_settings_are_told_before_any_host_is_touched(stack: Stack) -> None:
    for setting, said in (
        ("prefect_image=prefecthq/prefect:latest", "must be pinned"),
        ("image_archive=/etc/hostname", "is not an image archive"),
        ("prefect_image=nowhere/prefect:1", "postgres"),
    ):
        bad = stack.fab("deploy", "--check", "--set", setting, "--set", "postgres_image=nowhere/postgres:1")
        assert bad.returncode == 4, bad.stdout + bad.stderr
        assert said in bad.stdout + bad.stderr
