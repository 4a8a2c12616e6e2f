"""The main job on one host: from a fresh Debian to a healthy server, again without a change, and back after damage."""

from __future__ import annotations

import re
import time

import pytest
from live import LiveLab

from tests.integration.looks import api, changed, counts, curl, psql, snapshot, succeeded

SERVER = "vm1"
UNIT = "prefect-server.service"
ENV_FILE = "/etc/prefect/default/server.env"
NO_OP_BYTES = 24 * 1024
#: What locks, vaults, authorities, profiles, images and live output need.
UNUSED = {
    *("rich", "tomlkit", "cryptography.x509", "urllib.request", "tarfile", "hypothesis"),
    *(
        "encamp.locking.release_index",
        "roles.server.image_archive",
        "encamp.secrets.vault.cipher",
        "roles.network.certificate_authority",
        "encamp.output.live",
    ),
}


def url(lab: LiveLab) -> str:
    return f"http://{lab.address(SERVER)}:4200"


def test_check_on_a_fresh_host_changes_nothing_and_names_what_it_would_do(lab: LiveLab) -> None:
    lab.up(SERVER)
    before = snapshot(lab, SERVER)
    done = lab.fab("-H", SERVER, "deploy", "--check", "--diff")
    succeeded(done)
    assert snapshot(lab, SERVER) == before
    would = changed(done, "would")
    assert {"PostgresServer:postgres", f"SystemdUnit:{UNIT}", f"Service:{UNIT}", "User:prefect"} <= would
    assert "+PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://" in done.stdout
    assert counts(done, SERVER)["failed"] == 0
    assert lab.fab("-H", SERVER, "deploy", "--check", "--exit-code").returncode == 10


@pytest.fixture(scope="module")
def first(lab: LiveLab) -> str:
    """What the first deploy printed."""
    lab.up(SERVER, "laptop1")
    return succeeded(lab.fab("-H", SERVER, "deploy"))


@pytest.fixture
def deployed(lab: LiveLab, first: str) -> LiveLab:
    return lab


def test_the_first_deploy_ends_with_a_flow_run_read_back(first: str) -> None:
    assert re.search(r"flow run [0-9a-f-]{36}, task run [0-9a-f-]{36}, log line read back", first)
    assert "UI of vm1:" in first and "0.0.0.0" not in first.partition("recap")[2]


def test_a_host_without_a_firewall_gets_none(deployed: LiveLab, first: str) -> None:
    assert "note     no active firewall on this host: nothing opened for 4200/tcp" in first
    assert deployed.host(SERVER).check_output("nft list ruleset") == ""
    assert curl(deployed, "laptop1", f"{url(deployed)}/api/health") == "true"


def test_the_proof_leaves_nothing_behind(deployed: LiveLab) -> None:
    assert psql(deployed, SERVER, "SELECT count(*) FROM flow_run") == "0"
    assert psql(deployed, SERVER, "SELECT count(*) FROM deployment") == "0"
    assert psql(deployed, SERVER, "SELECT count(*) FROM flow") == "0"


def test_a_second_deploy_changes_nothing_in_one_session_and_few_bytes(deployed: LiveLab) -> None:
    before = deployed.ssh_sessions(SERVER)
    done = deployed.fab("-H", SERVER, "deploy")
    succeeded(done)
    assert counts(done, SERVER)["changed"] == 0
    assert deployed.ssh_sessions(SERVER) == before + 1
    sent = re.search(r"execs=1 sent=([\d.]+) KiB", done.stdout)
    assert sent and float(sent[1]) * 1024 < NO_OP_BYTES


def test_a_run_that_changes_nothing_imports_nothing_for_what_it_does_not_do(deployed: LiveLab) -> None:
    done = deployed.fab("-H", SERVER, "deploy", env={"PYTHONPROFILEIMPORTTIME": "1"})
    succeeded(done)
    imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))
    assert {"fabric.main", "encamp.running.run"} <= imported
    assert not imported & UNUSED


def test_check_on_a_deployed_host_has_nothing_to_report(deployed: LiveLab) -> None:
    before = snapshot(deployed, SERVER)
    done = deployed.fab("-H", SERVER, "deploy", "--check", "--diff", "--exit-code")
    succeeded(done)
    assert not changed(done, "would")
    assert snapshot(deployed, SERVER) == before


def test_the_service_is_what_the_documents_say(deployed: LiveLab) -> None:
    host = deployed.host(SERVER)
    service = host.service(UNIT)
    assert service.is_running and service.is_enabled
    assert host.socket("tcp://0.0.0.0:4200").is_listening
    env = host.file(ENV_FILE)
    assert (env.user, env.group, env.mode) == ("root", "prefect", 0o640)
    process = host.process.get(user="prefect", ppid=1)
    assert process.user == "prefect"
    assert host.run("runuser -u prefect -- touch /opt/prefect/default/x").rc != 0, "the environment is read-only"
    assert "OK" in host.check_output(f"systemd-analyze security {UNIT} --no-pager | tail -1")


def test_postgres_is_reached_without_a_password(deployed: LiveLab) -> None:
    assert psql(deployed, SERVER, "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'prefect'") == "t"
    assert (
        psql(deployed, SERVER, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'prefect'") == "prefect"
    )
    assert psql(deployed, SERVER, "SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'") == "pg_trgm"
    clients = "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = 'prefect' AND client_port = -1"
    assert "prefect" in psql(deployed, SERVER, clients)


def test_clients_see_api_ui_and_the_public_address(deployed: LiveLab) -> None:
    assert curl(deployed, "laptop1", f"{url(deployed)}/api/health") == "true"
    assert api(deployed, "laptop1", f"{url(deployed)}/api/flow_runs/filter", {}) == []
    page = curl(deployed, "laptop1", f"{url(deployed)}/", "-L")
    assert "<html" in page.lower()
    assert api(deployed, "laptop1", f"{url(deployed)}/ui-settings")["api_url"] == f"{url(deployed)}/api"


def test_what_is_broken_by_hand_is_repaired_and_nothing_else(deployed: LiveLab) -> None:
    host = deployed.host(SERVER)
    host.check_output(f"systemctl stop {UNIT}")
    host.check_output(f"sed -i s/4200/4999/ {ENV_FILE}")
    host.check_output("chmod 0777 /var/lib/prefect/default")
    done = deployed.fab("-H", SERVER, "deploy", "--no-verify")
    succeeded(done)
    assert changed(done) == {f"Service:{UNIT}", f"File:{ENV_FILE}", "Directory:/var/lib/prefect/default"}
    assert host.service(UNIT).is_running
    assert counts(deployed.fab("-H", SERVER, "deploy"), SERVER)["changed"] == 0


def test_an_edited_env_file_restarts_the_running_service_once(deployed: LiveLab) -> None:
    host = deployed.host(SERVER)
    before = host.check_output(f"systemctl show -p MainPID --value {UNIT}")
    host.check_output(f"echo PREFECT_SERVER_ANALYTICS_ENABLED=true >> {ENV_FILE}")
    done = deployed.fab("-H", SERVER, "deploy", "--no-verify")
    succeeded(done)
    assert changed(done) == {f"File:{ENV_FILE}", f"Restart:{UNIT}"}
    assert host.check_output(f"systemctl show -p MainPID --value {UNIT}") != before


def test_a_stopped_database_is_started_and_keeps_its_data(deployed: LiveLab) -> None:
    host = deployed.host(SERVER)
    host.check_output("systemctl stop 'postgresql@*' postgresql")
    done = deployed.fab("-H", SERVER, "deploy", "--no-verify")
    succeeded(done)
    assert "PostgresCluster:main" in changed(done)
    assert curl(deployed, SERVER, "http://127.0.0.1:4200/api/ready")


def test_a_server_that_cannot_start_fails_with_journal_cause_and_code_2(deployed: LiveLab) -> None:
    bad = "server_environment={PREFECT_SERVER_EVENTS_RETENTION_PERIOD: 'not a duration'}"
    done = deployed.fab("-H", SERVER, "deploy", "--set", bad)
    assert done.returncode == 2, done.stdout
    assert "ServerHealth:" in done.stdout and "cause:" in done.stdout and "    | " in done.stdout
    succeeded(deployed.fab("-H", SERVER, "deploy"))


def test_after_a_reboot_everything_comes_back_by_itself(deployed: LiveLab) -> None:
    deployed.reboot(SERVER)
    for _ in range(120):
        if curl(deployed, SERVER, "http://127.0.0.1:4200/api/ready").startswith(("{", "true")):
            break
        time.sleep(1)
    assert api(deployed, "laptop1", f"{url(deployed)}/api/flow_runs/filter", {}) == []
    assert counts(deployed.fab("-H", SERVER, "deploy"), SERVER)["changed"] == 0
