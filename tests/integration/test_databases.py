"""Databases: SQLite, a Postgres on another host of the inventory, and one that somebody else runs, reached by URL.

vm2 has two servers: ``default`` on the Postgres of nft1 (which has a firewall of its owner's), ``lite`` with SQLite. On
nft1 the test itself makes a second cluster by hand, with TLS and a CA of its own: it stands for a managed Postgres.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from live import LiveLab

from tests.integration.looks import Fab, api, changed, counts, psql, succeeded

SERVER, KEEPER, STRANGER = "vm2", "nft1", "laptop1"
HOSTS = (SERVER, KEEPER)
ENV = "/etc/prefect/default/server.env"
UNIT = "prefect-server.service"
FILE = "/var/lib/prefect/lite/prefect.db"
#: Every printable character, as the password of the role that encamp makes.
HOSTILE = "".join(chr(number) for number in range(32, 127))
#: The other cluster's, with the characters that URLs break on.
SECRET = "p@ss/w:rd?#%41[x]&+ $"
PORT = 5433

#: A Postgres as a provider would give it: TLS only, SCRAM only, its own CA; nothing here is encamp's.
BY_HAND = f"""
set -e
cd /root
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $key -days 2 -subj /CN=lab-ca -keyout ca.key -out ca.pem 2>/dev/null
openssl req $key -subj /CN=db.example -keyout db.key -out db.csr 2>/dev/null
printf 'subjectAltName=DNS:{KEEPER}' > san
openssl x509 -req -in db.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out db.pem 2>/dev/null
pg_createcluster -p {PORT} 15 external >/dev/null
install -o postgres -g postgres -m 600 db.key /etc/postgresql/15/external/db.key
install -o postgres -g postgres -m 644 db.pem /etc/postgresql/15/external/db.pem
cat > /etc/postgresql/15/external/conf.d/own.conf <<END
listen_addresses = '*'
ssl_cert_file = '/etc/postgresql/15/external/db.pem'
ssl_key_file = '/etc/postgresql/15/external/db.key'
END
cat > /etc/postgresql/15/external/pg_hba.conf <<END
local all postgres peer
hostssl app,bare,away all all scram-sha-256
END
pg_ctlcluster 15 external start
nft add rule inet filter input tcp dport {PORT} accept
"""
ROLES = f"""
CREATE ROLE app LOGIN PASSWORD '{SECRET}';
CREATE DATABASE app OWNER app;
CREATE ROLE poor LOGIN PASSWORD '{SECRET}';
CREATE DATABASE bare;
CREATE ROLE few LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 4;
"""


def url(lab: LiveLab, user: str = "app", password: str = SECRET, database: str = "app", **other: Any) -> str:
    """A URL of the cluster made by hand, as people write them."""
    host, port = other.get("host", KEEPER), other.get("port", PORT)
    return f"postgresql://{user}:{quote(password, safe='')}@{host}:{port}/{database}{other.get('query', '')}"


def by_hand(lab: LiveLab, query: str) -> str:
    """A query as the superuser of the cluster made by hand."""
    return str(lab.host(KEEPER).check_output(f"runuser -u postgres -- psql -XAtq -p {PORT} -d app -c %s", query))


def connect(lab: LiveLab, source: str, host: str, port: int, user: str, password: str, database: str) -> str:
    """What a login from a host of the lab comes to, with the driver that Prefect uses: ok, or the error."""
    program = (
        "import asyncio, asyncpg, json, sys\n"
        "order = json.load(sys.stdin)\n"
        "async def main():\n"
        "    connection = await asyncpg.connect(timeout=8, **order)\n"
        "    print('ok', await connection.fetchval('select inet_client_addr()'))\n"
        "try:\n    asyncio.run(main())\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
    )
    order = {"host": host, "port": port, "user": user, "password": password, "database": database}
    lab.host(source).check_output("printf %%s %s > /root/order.json", json.dumps(order))
    return str(lab.host(source).check_output("/opt/prefect/default/bin/python -c %s < /root/order.json", program))


def runs(lab: LiveLab, port: int) -> set[str]:
    """The ids of a server's flow runs."""
    found = api(lab, SERVER, f"http://127.0.0.1:{port}/api/flow_runs/filter", {})
    return {run["id"] for run in found}


def write_site(lab: LiveLab, folder: Path, default: dict[str, Any]) -> Path:
    """A site in which nft1 keeps databases, and vm1 has two instances; ``default`` are settings of the first."""
    instances = {"default": default, "lite": {"port": 4202, "public_url": f"http://{lab.address(SERVER)}:4202"}}
    instances["lite"] |= {"database": "sqlite"}
    own = {"instances": instances, "database_client_address": lab.address(SERVER)}
    database_host = {"postgres_address": lab.address(KEEPER), "postgres_max_connections": 110}
    lab.site(folder, host_vars={SERVER: own, KEEPER: database_host})
    hosts = yaml.safe_load((folder / "hosts.yml").read_text("utf-8"))
    spare = hosts["all"]["children"]["spare"]["hosts"]
    hosts["all"]["children"]["databases"] = {"hosts": {KEEPER: spare.pop(KEEPER)}}
    hosts["all"]["children"]["servers"] = {"hosts": {SERVER: spare.pop(SERVER)}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")
    return folder


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("databases")
    (folder / "password").write_text(HOSTILE + "\n")
    (folder / "password").chmod(0o600)
    return write_site(lab, folder, {"database_host": KEEPER, "database_password": {"file": "password"}})


@pytest.fixture(scope="module")
def first(lab: LiveLab, site: Path) -> Fab:
    """What the first deploy did."""
    lab.up(*HOSTS, STRANGER)
    return lab.fab("deploy", inventory=site)


@pytest.fixture(scope="module")
def deployed(lab: LiveLab, first: Fab) -> LiveLab:
    succeeded(first)
    return lab


def test_one_deploy_makes_the_database_first_and_proves_both_servers(deployed: LiveLab, first: Fab) -> None:
    order = [line.split()[0] for line in first.stdout.splitlines() if line.split()[1:2] == ["changed"]]
    assert order.index(SERVER) > len(order) - order[::-1].index(KEEPER) - 1, "the server came after its database"
    assert len(re.findall(rf"{SERVER}  note     flow run \S+, task run \S+, log line read back", first.stdout)) == 2
    assert "SQLite allows one writer at a time" in first.stdout
    assert HOSTILE not in first.stdout + first.stderr


def test_a_flow_run_of_each_is_in_its_own_database(deployed: LiveLab) -> None:
    made = {}
    for port, name in ((4200, "in-postgres"), (4202, "in-sqlite")):
        base = f"http://127.0.0.1:{port}/api"
        flow = api(deployed, SERVER, f"{base}/flows/", {"name": name})
        made[port] = api(deployed, SERVER, f"{base}/flow_runs/", {"flow_id": flow["id"], "state": {"type": "PENDING"}})
    assert psql(deployed, KEEPER, "SELECT id FROM flow_run") == made[4200]["id"]
    assert runs(deployed, 4200) == {made[4200]["id"]} and runs(deployed, 4202) == {made[4202]["id"]}


def test_the_server_comes_from_its_address_encrypted_as_its_own_role(deployed: LiveLab) -> None:
    query = "SELECT DISTINCT usename, client_addr, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
    assert psql(deployed, KEEPER, f"{query} WHERE datname = 'prefect'").splitlines()[-1:] != []
    found = psql(deployed, KEEPER, f"{query} WHERE usename = 'prefect'")
    assert found == f"prefect|{deployed.address(SERVER)}|t"
    assert (
        psql(deployed, KEEPER, "SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'prefect'")
        == "SCRAM-SHA-256"
    )
    assert (
        psql(deployed, KEEPER, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'prefect'") == "prefect"
    )
    assert psql(deployed, KEEPER, "SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'") == "pg_trgm"
    assert psql(deployed, KEEPER, "SHOW max_connections") == "110"


def test_only_the_server_gets_in_and_only_to_its_database(deployed: LiveLab) -> None:
    where = deployed.address(KEEPER)
    assert connect(deployed, SERVER, where, 5432, "prefect", HOSTILE, "prefect") == f"ok {deployed.address(SERVER)}"
    for user, database in (("prefect", "postgres"), ("postgres", "prefect")):
        assert "no pg_hba.conf entry" in connect(deployed, SERVER, where, 5432, user, HOSTILE, database)
    assert "password authentication failed" in connect(deployed, SERVER, where, 5432, "prefect", "wrong", "prefect")
    own = deployed.host(KEEPER).run(f"psql -h {where} -U prefect -d prefect -c 'SELECT 1'")
    assert "no pg_hba.conf entry" in own.stderr
    dropped = deployed.host(STRANGER).run(f"timeout 4 bash -c '</dev/tcp/{where}/5432'")
    assert dropped.rc == 124, "the owner's firewall lets in nobody else"


def test_the_password_is_seen_nowhere(deployed: LiveLab) -> None:
    host = deployed.host(SERVER)
    assert (host.file(ENV).user, host.file(ENV).group, oct(host.file(ENV).mode)) == ("root", "prefect", "0o640")
    encoded = quote(HOSTILE, safe="")
    assert encoded in host.file(ENV).content_string
    for name in HOSTS:
        seen = deployed.host(name).check_output(
            "ps axww -o args; journalctl -q -o cat; cat /var/log/postgresql/* || true"
        )
        assert encoded not in seen and HOSTILE not in seen


def test_a_second_deploy_changes_nothing_in_one_session_a_host(deployed: LiveLab, site: Path) -> None:
    before = [deployed.ssh_sessions(name) for name in HOSTS]
    done = deployed.fab("deploy", inventory=site)
    succeeded(done)
    assert [counts(done, name)["changed"] for name in HOSTS] == [0, 0], done.stdout
    assert [deployed.ssh_sessions(name) for name in HOSTS] == [count + 1 for count in before]


def test_backups_are_taken_and_loaded_on_the_database_s_own_host(deployed: LiveLab, site: Path) -> None:
    told = succeeded(deployed.fab("-H", SERVER, "backup", inventory=site))
    (name,) = re.findall(rf"{KEEPER}  note     backup (\w+): ", told)
    assert re.search(rf"{SERVER}  note     backup \w+: ", told), "SQLite's is on the server's"
    succeeded(deployed.fab("-H", KEEPER, "restore", name, "--into", "look", inventory=site))
    query = "SELECT id, name, created FROM flow_run"
    assert psql(deployed, KEEPER, query, "look") == psql(deployed, KEEPER, query) != ""
    told = succeeded(deployed.fab("-H", KEEPER, "rehearse", inventory=site))
    assert "as counted; its server is on another host" in told
    refused = deployed.fab("-H", SERVER, "restore", name, "--instance", "default", "--yes", inventory=site)
    assert refused.returncode == 1
    assert f"is on another host than its database ({KEEPER})" in refused.stderr
    deployed.host(KEEPER).check_output("runuser -u postgres -- dropdb look")


def test_the_sqlite_file_is_in_wal_mode_and_only_the_service_s(deployed: LiveLab, site: Path) -> None:
    host = deployed.host(SERVER)
    mode = (
        "import sqlite3; print(*sqlite3.connect('file:%s?mode=ro', uri=True).execute('PRAGMA journal_mode').fetchone())"
    )
    assert host.check_output("python3 -c %s", mode % FILE) == "wal"
    for path in (FILE, f"{FILE}-wal"):
        assert (host.file(path).user, oct(host.file(path).mode)) == ("prefect-lite", "0o600")

    host.check_output(f"chmod 644 {FILE}; chown root:root {FILE}-wal")
    done = deployed.fab("-H", SERVER, "deploy", "--instance", "lite", "--no-verify", inventory=site)
    assert changed(done) == {f"SqliteDatabase:{FILE}"}, done.stdout
    for path in (FILE, f"{FILE}-wal"):
        assert (host.file(path).user, oct(host.file(path).mode)) == ("prefect-lite", "0o600")


def test_too_many_connections_are_refused_before_any_host_is_touched(deployed: LiveLab, site: Path) -> None:
    before = [deployed.ssh_sessions(name) for name in HOSTS]
    done = deployed.fab("deploy", "--set", "database_pool_size=100", inventory=site)
    assert done.returncode == 4 and "postgres_max_connections: 114 or more" in done.stderr
    assert "has 107 connections for clients" in done.stderr and "vm2 (default) 111" in done.stderr
    assert [deployed.ssh_sessions(name) for name in HOSTS] == before


# -- a Postgres that somebody else runs ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def external(deployed: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose default instance uses the cluster made by hand, by the URL in an environment variable."""
    deployed.host(KEEPER).check_output(BY_HAND)
    deployed.host(KEEPER).check_output(f"runuser -u postgres -- psql -Xq -p {PORT} -c %s", "SELECT 1")
    deployed.host(KEEPER).check_output(f"printf %%s %s | runuser -u postgres -- psql -Xq -p {PORT}", ROLES)
    folder = tmp_path_factory.mktemp("external")
    (folder / "ca.pem").write_text(deployed.host(KEEPER).file("/root/ca.pem").content_string)
    verified = {"database_tls": "verify", "database_ca_file": "ca.pem"}
    return write_site(deployed, folder, {"database_url": {"env": "LAB_DATABASE_URL"}, **verified})


def deploy(lab: LiveLab, site: Path, address: str, *options: str) -> Fab:
    chosen = ("-H", SERVER, "deploy", "--instance", "default", *options)
    return lab.fab(*chosen, inventory=site, env={"LAB_DATABASE_URL": address})


FAULTS = {
    "wrong password": ({"password": "wrong"}, "refuses the login of app", "the password is wrong"),
    "no such database": ({"database": "away"}, "has no database away", "CREATE DATABASE"),
    "not let in": ({"database": "postgres"}, "refuses logins from", "no entry for that address"),
    "nothing listens": (
        {"port": 5999, "host": "127.0.0.1"},
        "nothing is listening at 127.0.0.1:5999",
        "Postgres is down",
    ),
    "dropped": ({"port": 5999}, "no response from nft1:5999", "firewall"),
    "unknown name": ({"host": "db.invalid"}, "cannot resolve db.invalid, the name of the database host", "getent"),
    "another name": ({"host": "{address}"}, "is for a different name", "database_tls_check_hostname"),
    "no rights": ({"user": "poor", "database": "bare"}, "poor may not create tables", "OWNER TO"),
    "few connections": ({"user": "few"}, "may open 16 connections", "CONNECTION LIMIT"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_database_that_cannot_be_used_is_refused_before_anything_is_restarted(
    deployed: LiveLab, external: Path, name: str
) -> None:
    parts, reason, hint = FAULTS[name]
    given: dict[str, Any] = {key: str(value).format(address=deployed.address(KEEPER)) for key, value in parts.items()}
    if name == "few connections":
        by_hand(deployed, "GRANT app TO few")
    host = deployed.host(SERVER)
    before = host.check_output(f"systemctl show -p MainPID {UNIT}; sha256sum {ENV}")
    done = deploy(deployed, external, url(deployed, **given))
    assert done.returncode == 2 and "DatabaseProbe:default" in done.stdout, done.stdout + done.stderr
    assert reason in done.stdout and hint in done.stdout, done.stdout
    assert SECRET not in done.stdout and quote(SECRET, safe="") not in done.stdout
    assert host.check_output(f"systemctl show -p MainPID {UNIT}; sha256sum {ENV}") == before
    assert runs(deployed, 4200), "the server goes on with the database it has"


def test_an_authority_that_is_not_known_is_refused(deployed: LiveLab, external: Path) -> None:
    done = deploy(deployed, external, url(deployed), "--set", "database_ca_file=")
    assert done.returncode == 2 and "is not signed by an authority that this host trusts" in done.stdout


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (f"postgresql://app:{SECRET}@nft1:5433/app", "percent-encode each character"),
        ("postgresql+psycopg2://app:x@nft1/app", "driver psycopg2"),
        ("mysql://app:x@nft1/app", "is not a Postgres URL"),
    ],
)
def test_a_url_that_prefect_would_misread_is_refused_before_any_host_is_touched(
    deployed: LiveLab, external: Path, address: str, problem: str
) -> None:
    before = deployed.ssh_sessions(SERVER)
    done = deploy(deployed, external, address)
    assert done.returncode == 4 and problem in done.stderr, done.stderr
    assert SECRET not in done.stderr and deployed.ssh_sessions(SERVER) == before


def test_a_server_on_a_managed_postgres_with_a_checked_certificate(deployed: LiveLab, external: Path) -> None:
    others = psql(deployed, KEEPER, "SELECT count(*) FROM flow_run")
    done = deploy(deployed, external, url(deployed, query="?sslmode=verify-full"))
    succeeded(done)
    assert "flow run" in done.stdout
    activity = "SELECT DISTINCT usename, client_addr, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
    assert by_hand(deployed, f"{activity} WHERE usename = 'app'") == f"app|{deployed.address(SERVER)}|t"
    assert by_hand(deployed, "SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'") == "pg_trgm"
    assert by_hand(deployed, "SELECT to_regclass('encamp_probe') IS NULL") == "t"
    flow = api(deployed, SERVER, "http://127.0.0.1:4200/api/flows/", {"name": "managed"})
    assert by_hand(deployed, "SELECT id FROM flow WHERE name = 'managed'") == flow["id"]
    assert psql(deployed, KEEPER, "SELECT count(*) FROM flow_run") == others
    log = deployed.host(SERVER).check_output(f"journalctl -q -o cat -u {UNIT} --since -1min")
    assert "Failed to establish raw asyncpg connection" not in log

    again = deploy(deployed, external, url(deployed, query="?sslmode=verify-full"))
    succeeded(again)
    assert counts(again, SERVER)["changed"] == 0, again.stdout


def test_a_server_that_left_loses_its_way_in_and_its_data_stays(deployed: LiveLab, external: Path) -> None:
    hba, foreign = "/etc/postgresql/15/main/pg_hba.conf", "/etc/postgresql/15/external/pg_hba.conf"
    before = deployed.host(KEEPER).file(foreign).content_string
    done = deployed.fab("-H", KEEPER, "deploy", inventory=external, env={"LAB_DATABASE_URL": url(deployed)})
    succeeded(done)
    assert changed(done) == {"PostgresHbaOnly:prefect:", "FirewallPort:prefect-postgres"}, done.stdout
    where = deployed.address(KEEPER)
    assert deployed.host(SERVER).run(f"timeout 4 bash -c '</dev/tcp/{where}/5432'").rc == 124
    assert "prefect" not in deployed.host(KEEPER).file(hba).content_string
    assert deployed.host(KEEPER).file(foreign).content_string == before
    assert int(psql(deployed, KEEPER, "SELECT count(*) FROM flow_run")) == 1
