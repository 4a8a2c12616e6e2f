"""Backups: taken by the timer's service and on demand, restored, rehearsed, and what fails on the way."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from copies import start_copies
from deployed import POSTGRES, SQLITE
from live import LiveLab

from tests.integration.looks import api, changed, look, psql, succeeded

BIG, SMALL = "vm1", "vm2"
API = "http://127.0.0.1:4200/api"
FOLDER = "/var/backups/prefect/prefect"
#: What users made, row by row. Events and what the server keeps of itself go on by themselves.
TABLES = (
    "flow",
    "flow_run",
    "flow_run_state",
    "task_run",
    "log",
    "variable",
    "deployment",
    "block_document",
    "work_pool",
)
HOSTILE = 're$tic "x"'
BACKUP = {"keep": 2, "at": "01:15"}
SQLITE_ROWS = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(json.dumps({table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in sys.argv[2:]}))
"""


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    servers = {BIG: {"backup": BACKUP}, SMALL: {"backup": {"every": "6 hours"}, "database": "sqlite"}}
    return lab.site(tmp_path_factory.mktemp("backups"), host_vars=servers)


@pytest.fixture(scope="module")
def deployed(lab: LiveLab, site: Path) -> LiveLab:
    start_copies(lab, {BIG: POSTGRES, SMALL: SQLITE})
    succeeded(lab.fab("-H", f"{BIG},{SMALL}", "deploy", "--no-verify", inventory=site))
    for name in (BIG, SMALL):
        fill(lab, name, "first")
    return lab


@pytest.fixture
def vm1(deployed: LiveLab) -> Iterator[LiveLab]:
    yield deployed
    assert deployed.host(BIG).service("prefect-server.service").is_running


def fill(lab: LiveLab, name: str, word: str) -> None:
    """What a site has: a variable, a flow, a run with a state, a log line."""
    api(lab, name, f"{API}/variables/", {"name": word, "value": {"a": [1, "ö"]}})
    flow = api(lab, name, f"{API}/flows/", {"name": f"flow-{word}"})
    run = api(lab, name, f"{API}/flow_runs/", {"flow_id": flow["id"], "state": {"type": "COMPLETED"}})
    line = {"name": "x", "level": 20, "message": word, "timestamp": "2026-01-01T00:00:00Z", "flow_run_id": run["id"]}
    lab.host(name).run(f"curl -sS -X POST -H Content-Type:application/json -d '{json.dumps([line])}' {API}/logs/")


def rows(lab: LiveLab, database: str = "prefect") -> dict[str, str]:
    """Every row of what users made in a database of Postgres."""
    query = "SELECT coalesce(json_agg(t ORDER BY t::text), '[]') FROM {} AS t"
    return {table: psql(lab, BIG, query.format(table), database) for table in TABLES}


def sqlite_rows(lab: LiveLab, path: str = "/var/lib/prefect/default/prefect.db") -> Any:
    """The same of a file."""
    words = " ".join(TABLES)
    return json.loads(
        lab.host(SMALL).check_output(f"/opt/prefect/default/bin/python -c '{SQLITE_ROWS}' {path} {words}")
    )


def names(lab: LiveLab, host: str, folder: str = FOLDER) -> list[str]:
    """The backups on a host, oldest first."""
    return sorted(name for name in lab.host(host).check_output(f"ls {folder}").split() if "T" in name)


def manifest(lab: LiveLab, name: str) -> dict[str, Any]:
    return json.loads(lab.host(BIG).file(f"{FOLDER}/{name}/manifest.json").content_string)  # type: ignore[no-any-return]


def edit(lab: LiveLab, name: str, **values: Any) -> None:
    """Change fields of a manifest, as time or a fault would have."""
    text = json.dumps({**manifest(lab, name), **values})
    lab.host(BIG).check_output("printf %%s %s > %s", text, f"{FOLDER}/{name}/manifest.json")


def take(lab: LiveLab, site: Path, host: str = BIG) -> str:
    """Take a backup; its name."""
    told = succeeded(lab.fab("-H", host, "backup", inventory=site))
    found = re.search(r"backup (\d{8}T\d{6}Z)", told)
    assert found, told
    return found[1]


def test_the_timers_service_takes_a_backup_that_only_root_can_read(deployed: LiveLab, site: Path) -> None:
    host = deployed.host(BIG)
    assert host.service("prefect-backup.timer").is_running
    assert host.service("prefect-backup.timer").is_enabled
    assert "*-*-* 01:15:00" in host.check_output("systemctl cat prefect-backup.timer")
    host.check_output("systemctl start prefect-backup.service")
    (name,) = names(deployed, BIG)
    assert host.file(FOLDER).mode == 0o700
    assert host.run(f"runuser -u prefect -- ls {FOLDER}").rc != 0
    assert host.run(f"runuser -u postgres -- ls {FOLDER}").rc != 0
    found = manifest(deployed, name)
    assert found["prefect"] == "3.9.1"
    assert found["head"] == psql(deployed, BIG, "SELECT version_num FROM alembic_version").strip()
    assert found["counts"]["variable"] == 1
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" in found["settings"]
    assert "postgresql+asyncpg" not in json.dumps(found)
    assert not changed(deployed.fab("-H", BIG, "deploy", inventory=site))


def test_a_restore_gives_back_every_row_and_keeps_what_was_there(vm1: LiveLab, site: Path) -> None:
    statements = (
        "CREATE ROLE reader",
        "REVOKE TEMPORARY ON DATABASE prefect FROM PUBLIC",
        "GRANT CONNECT ON DATABASE prefect TO reader",
        "GRANT SELECT ON flow_run TO reader",
        "ALTER DATABASE prefect SET work_mem TO '5MB'",
        "ALTER DATABASE prefect CONNECTION LIMIT 77",
    )
    for statement in statements:
        psql(vm1, BIG, statement)
    before, name = rows(vm1), take(vm1, site)
    fill(vm1, BIG, "second")
    later = rows(vm1)
    unsure = vm1.fab("-H", BIG, "restore", name, inventory=site)
    assert (unsure.returncode, "--yes" in unsure.stderr) == (1, True)
    would = succeeded(vm1.fab("-H", BIG, "restore", "latest", "--check", inventory=site))
    assert f"would    DatabaseRestored:prefect  restore: the backup {name}" in would
    assert rows(vm1) == later

    told = succeeded(vm1.fab("-H", BIG, "restore", "latest", "--yes", inventory=site))

    assert rows(vm1) == before
    (aside,) = set(re.findall(r"prefect_before_\d+", told))
    assert f"dropdb {aside}" in told
    assert rows(vm1, aside) == later
    assert "reader=c/prefect" in psql(vm1, BIG, "SELECT datacl FROM pg_database WHERE datname = 'prefect'")
    assert psql(vm1, BIG, "SELECT datconnlimit FROM pg_database WHERE datname = 'prefect'").strip() == "77"
    assert psql(vm1, BIG, "SHOW work_mem").strip() == "5MB"
    assert psql(vm1, BIG, "SELECT has_table_privilege('reader', 'flow_run', 'SELECT')").strip() == "t"
    assert (
        psql(vm1, BIG, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner <> 'prefect'") == "0"
    )
    assert "restored in place" in succeeded(vm1.fab("-H", BIG, "backups", inventory=site))
    assert not changed(vm1.fab("-H", BIG, "deploy", inventory=site))
    vm1.host(BIG).check_output(f"runuser -u postgres -- dropdb {aside}")


def test_a_restore_that_cannot_be_proven_puts_everything_back(vm1: LiveLab, site: Path) -> None:
    before, head = rows(vm1), manifest(vm1, names(vm1, BIG)[-1])["head"]
    # A database whose schema no release knows, in a backup that claims another one: the server cannot start on it.
    psql(vm1, BIG, "UPDATE alembic_version SET version_num = '0123456789ab'")
    name = take(vm1, site)
    psql(vm1, BIG, f"UPDATE alembic_version SET version_num = '{head}'")
    edit(vm1, name, head=head)

    done = vm1.fab("-H", BIG, "restore", name, "--yes", inventory=site)

    assert done.returncode == 2, done.stdout
    assert "the database is as it was, and the server was started on it" in done.stdout
    assert rows(vm1) == before
    assert psql(vm1, BIG, "SELECT count(*) FROM pg_database WHERE datname LIKE 'prefect!_%' ESCAPE '!'").strip() == "0"
    succeeded(vm1.fab("-H", BIG, "deploy", inventory=site))
    vm1.host(BIG).check_output(f"rm -r {FOLDER}/{name}")


def test_what_cannot_be_restored_is_refused_with_the_server_untouched(vm1: LiveLab, site: Path) -> None:
    name = take(vm1, site)
    since = vm1.host(BIG).check_output("systemctl show -p MainPID --value prefect-server.service")
    edit(vm1, name, head="fedcba987654", prefect="9.9.9")
    unknown = vm1.fab("-H", BIG, "restore", name, "--yes", inventory=site)
    assert unknown.returncode == 2
    assert "does not know the schema fedcba987654" in unknown.stdout
    assert "set prefect_version: 9.9.9, deploy, then restore" in unknown.stdout
    missing = vm1.fab("-H", BIG, "restore", "20200101T000000Z", "--yes", inventory=site)
    assert "there: " in missing.stdout and name in missing.stdout
    broken = take(vm1, site)
    vm1.host(BIG).check_output(f"echo x >> {FOLDER}/{broken}/data/toc.dat")
    damaged = vm1.fab("-H", BIG, "restore", broken, "--yes", inventory=site)
    assert damaged.returncode == 2
    assert f"backup {broken} is damaged: data/toc.dat is not what was written" in damaged.stdout
    assert vm1.host(BIG).check_output("systemctl show -p MainPID --value prefect-server.service") == since
    vm1.host(BIG).check_output(f"rm -r {FOLDER}/{name} {FOLDER}/{broken}")


def test_a_backup_is_loaded_beside_the_database_in_use(vm1: LiveLab, site: Path) -> None:
    before, name = rows(vm1), take(vm1, site)
    fill(vm1, BIG, "third")
    later = rows(vm1)
    succeeded(vm1.fab("-H", BIG, "restore", name, "--into", "look", inventory=site))
    assert rows(vm1, "look") == before
    assert rows(vm1) == later
    again = vm1.fab("-H", BIG, "restore", name, "--into", "look", inventory=site)
    assert again.returncode == 2
    assert "there is a database look already" in again.stdout
    vm1.host(BIG).check_output("runuser -u postgres -- dropdb look")


def test_a_rehearsal_proves_a_backup_which_then_outlives_the_others(vm1: LiveLab, site: Path) -> None:
    host, name = vm1.host(BIG), take(vm1, site)
    before, since = rows(vm1), host.check_output("systemctl show -p MainPID --value prefect-server.service")
    host.check_output("systemctl start prefect-rehearsal.service")
    proven = manifest(vm1, name)["proven"]
    assert "Prefect 3.9.1 served it" in proven["how"]
    assert rows(vm1) == before
    assert host.check_output("systemctl show -p MainPID --value prefect-server.service") == since
    assert psql(vm1, BIG, "SELECT count(*) FROM pg_database WHERE datname LIKE 'prefect!_%' ESCAPE '!'").strip() == "0"
    host.check_output(f"mkdir {FOLDER}/20200101T000000Z {FOLDER}/mine")
    for _ in range(3):
        take(vm1, site)
        time.sleep(1)
    kept = names(vm1, BIG)
    assert name in kept and len(kept) == 4, "the two newest, the proven one, and the folder that is not encamp's"
    assert host.file(f"{FOLDER}/mine").is_directory
    assert "20200101T000000Z" in kept
    listed = succeeded(vm1.fab("-H", BIG, "backups", inventory=site))
    assert re.search(rf"{name} .* 3\.9\.1 .* ago: restored, ", listed)
    assert "20200101T000000Z" not in listed
    wrong = kept[-1]
    edit(vm1, wrong, counts={**manifest(vm1, wrong)["counts"], "flow": 77})
    failed = vm1.fab("-H", BIG, "rehearse", inventory=site)
    assert failed.returncode == 2
    assert "does not give back the rows that were counted: flow: " in failed.stdout
    host.check_output(f"rm -r {FOLDER}/20200101T000000Z {FOLDER}/{wrong}")


def test_the_doctor_tells_of_old_and_failed_backups(vm1: LiveLab, site: Path) -> None:
    host, name = vm1.host(BIG), names(vm1, BIG)[-1]
    well = vm1.fab("-H", BIG, "doctor", inventory=site)
    assert " ok " in look(well, "last backup") and " ok " in look(well, "rehearsal")
    began = manifest(vm1, name)["began"]
    for each in names(vm1, BIG):
        edit(vm1, each, began=manifest(vm1, each)["began"] - 3 * 86400)
    old = vm1.fab("-H", BIG, "doctor", inventory=site)
    assert old.returncode == 2
    assert "72 h ago" in look(old, "last backup")
    edit(vm1, name, began=began)
    host.check_output(f"chown prefect {FOLDER}")
    assert host.run("systemctl start prefect-backup.service").rc != 0
    failed = vm1.fab("-H", BIG, "doctor", inventory=site)
    assert f"{FOLDER} belongs to user" in look(failed, "last backup")
    host.check_output(f"chown root {FOLDER}; systemctl start prefect-backup.service")
    assert " ok " in look(vm1.fab("-H", BIG, "doctor", inventory=site), "last backup")


def test_sqlite_is_backed_up_restored_and_rehearsed_alike(deployed: LiveLab, site: Path) -> None:
    host, folder = deployed.host(SMALL), "/var/backups/prefect/prefect.sqlite"
    assert "*-*-* 02/6:30:00" in host.check_output("systemctl cat prefect-backup-prefect.sqlite.timer")
    before, name = sqlite_rows(deployed), take(deployed, site, SMALL)
    assert names(deployed, SMALL, folder) == [name]
    fill(deployed, SMALL, "second")
    later = sqlite_rows(deployed)
    assert "Prefect 3.9.1 served it" in succeeded(deployed.fab("-H", SMALL, "rehearse", inventory=site))
    told = succeeded(deployed.fab("-H", SMALL, "restore", name, "--yes", inventory=site))
    assert sqlite_rows(deployed) == before
    (aside,) = set(re.findall(r"/var/lib/prefect/default/prefect\.db\.before-\d+", told))
    assert sqlite_rows(deployed, aside) == later
    file = host.file("/var/lib/prefect/default/prefect.db")
    assert (file.user, file.group, file.mode) == ("prefect", "prefect", 0o600)
    assert not changed(deployed.fab("-H", SMALL, "deploy", inventory=site))


@pytest.fixture
def copying(lab: LiveLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site with a host that keeps copies, and a repository of restic on it."""
    monkeypatch.setenv("RESTIC", HOSTILE)
    where = f"sftp:deploy@{lab.address(SMALL)}:/home/deploy/restic"
    command = ["restic", "backup", "--quiet", "--stdin", "--stdin-filename", "prefect.tar"]
    environment = {"RESTIC_REPOSITORY": where, "RESTIC_PASSWORD": {"env": "RESTIC"}}
    sending = {**BACKUP, "copy_to": SMALL, "command": command, "environment": environment}
    store = {"database": "sqlite", "backup_address": lab.address(SMALL), "backup_ssh_port": 22}
    folder = lab.site(tmp_path, host_vars={BIG: {"backup": sending}, SMALL: store})
    hosts = yaml.safe_load((folder / "hosts.yml").read_text("utf-8"))
    hosts["all"]["children"]["servers"]["hosts"][SMALL] = hosts["all"]["children"]["spare"]["hosts"].pop(SMALL)
    hosts["all"]["children"]["backups"] = {"hosts": {SMALL: {}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")
    return folder


def test_a_backup_is_copied_to_another_host_and_into_restic(vm1: LiveLab, copying: Path) -> None:
    host, vault = vm1.host(BIG), vm1.host(SMALL)
    host.check_output("apt-get install -y -qq restic >&2; mkdir -p -m 700 /root/.ssh")
    host.check_output("ssh-keygen -q -N '' -f /root/.ssh/id_rsa")
    vm1.ssh(
        SMALL,
        "mkdir -p -m 700 .ssh; cat >> .ssh/authorized_keys",
        text=host.file("/root/.ssh/id_rsa.pub").content_string,
    )
    host.check_output("echo 'StrictHostKeyChecking accept-new' > /root/.ssh/config")
    restic = f"RESTIC_PASSWORD='{HOSTILE}' restic -r sftp:deploy@{vm1.address(SMALL)}:/home/deploy/restic"
    host.check_output(f"{restic} init")
    succeeded(vm1.fab("-H", f"{SMALL},{BIG}", "deploy", "--no-verify", inventory=copying))

    told = succeeded(vm1.fab("-H", BIG, "backup", inventory=copying))

    found = re.search(rf"backup (\w+): .*; copied to {SMALL}, restic", told)
    assert found, told
    assert HOSTILE not in told
    stored = f"/var/backups/prefect-copies/{BIG}/prefect/{found[1]}"
    assert vault.file(stored).mode == 0o700
    sums = "find . -type f ! -name manifest.json -exec sha256sum {} + | sort"
    here = host.check_output(f"cd {FOLDER}/{found[1]} && {sums}")
    assert vault.check_output(f"cd {stored} && {sums}") == here
    host.check_output(f"mkdir /root/back; {restic} dump latest prefect.tar | tar -C /root/back -x")
    assert host.check_output(f"cd /root/back/{found[1]} && {sums}") == here
    known = "-o UserKnownHostsFile=/etc/prefect/backup-prefect.known_hosts"
    key = f"-i /etc/prefect/backup-prefect.key {known} -o HostKeyAlias={SMALL}"
    shell = host.run(f"ssh -F none -n {key} prefect-backup@{vm1.address(SMALL)} cat /etc/passwd")
    assert shell.rc != 0 and "root:" not in shell.stdout, "the key can only hand in backups"
    assert not changed(vm1.fab("-H", f"{SMALL},{BIG}", "deploy", inventory=copying))

    vault.check_output("mv /var/lib/prefect-backup/.ssh/authorized_keys /root")
    lost = vm1.fab("-H", BIG, "backup", inventory=copying)
    vault.check_output("mv /root/authorized_keys /var/lib/prefect-backup/.ssh")
    assert lost.returncode == 2
    assert re.search(rf"the backup \w+ is here, but not at {SMALL}: ssh exited 255: .*Permission denied", lost.stdout)


def test_a_lost_host_comes_back_from_an_inventory_and_a_backup(vm1: LiveLab, site: Path) -> None:
    before, name = rows(vm1), take(vm1, site)
    saved = vm1.ssh(BIG, f"sudo tar -C {FOLDER} -cz {name} | base64").stdout
    vm1.recreate(BIG)
    vm1.ssh(BIG, f"base64 -d > /tmp/saved; sudo mkdir -p {FOLDER}; sudo tar -C {FOLDER} -xzf /tmp/saved", text=saved)

    told = succeeded(vm1.fab("-H", BIG, "restore", "latest", "--deploy", "--yes", inventory=site))

    assert f"prefect is what the backup {name} has" in told
    assert rows(vm1) == before
    assert vm1.host(BIG).service("prefect-backup.timer").is_running
    assert not changed(vm1.fab("-H", BIG, "deploy", inventory=site))


def test_an_undeploy_keeps_the_backups_and_removes_their_timers(vm1: LiveLab, site: Path, tmp_path: Path) -> None:
    take(vm1, site)
    kept = names(vm1, BIG)
    without = vm1.site(tmp_path, host_vars={BIG: {}})
    succeeded(vm1.fab("-H", BIG, "deploy", "--no-verify", inventory=without))
    assert not vm1.host(BIG).file("/etc/systemd/system/prefect-backup.timer").exists
    succeeded(vm1.fab("-H", BIG, "deploy", "--no-verify", inventory=site))
    succeeded(vm1.fab("-H", BIG, "undeploy", inventory=site))
    assert "prefect-" not in vm1.host(BIG).check_output("systemctl list-timers --all --no-pager")
    assert names(vm1, BIG) == kept
    succeeded(vm1.fab("-H", BIG, "deploy", "--no-verify", inventory=site))
