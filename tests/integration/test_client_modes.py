"""Client modes: hosted, database and local, on a laptop over SSH and on this machine, each by a flow run and its place;
two profiles for two instances; clients that do not fit the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import LiveLab

from tests.integration.looks import changed, counts, psql, succeeded
from tests.integration.places import Laptop, Place, ThisMachine, profiles, put, run_flow, runs_in_file, unique

SERVER = "vm1"
PASSWORD = "p@ss/w:rd%"
ENCODED = "p%40ss%2Fw%3Ard%25"
ROLE = "laptops"
PERSONAL = "/var/lib/prefect/personal/prefect.db"
#: Someone's own file, with the profile of another server.
THEIRS = '# mine\nactive = "work"\n\n[profiles.work]\nPREFECT_API_URL = "http://work.example/api"  # keep\n'


def url(lab: LiveLab, password: str = ENCODED) -> str:
    return f"postgresql://{ROLE}:{password}@{lab.address(SERVER)}:5432/prefect"


def lines(place: Place) -> list[str]:
    """The lines of the profiles file; a key that went and came back stands at the end of its profile."""
    return sorted(profiles(place)[0].splitlines())


def runs_in_postgres(lab: LiveLab, name: str) -> str:
    """The states of a flow's runs in the server's database."""
    where = f"flow_id = (SELECT id FROM flow WHERE name = '{name}')"
    return psql(lab, SERVER, f"SELECT string_agg(state_type::text, ',') FROM flow_run WHERE {where}")


@pytest.fixture(scope="module")
def open_postgres(server: LiveLab) -> Iterator[LiveLab]:
    """vm1's Postgres as a network of laptops reaches it, by a role of their own that may do what the server's may."""
    hba = "/etc/postgresql/15/main/pg_hba.conf"
    network = server.address(SERVER).rpartition(".")[0] + ".0/24"
    password = PASSWORD.replace("'", "''")
    psql(server, SERVER, f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}' IN ROLE prefect")
    psql(server, SERVER, "ALTER SYSTEM SET listen_addresses = '*'")
    server.host(SERVER).check_output(
        f"cp -p {hba} {hba}.kept; echo host prefect {ROLE} {network} scram-sha-256 >> {hba}"
    )
    restart = "systemctl restart postgresql prefect-server; curl -sSf --retry 90 --retry-delay 1 --retry-all-errors "
    restart += "-o /dev/null http://127.0.0.1:4200/api/ready"
    server.host(SERVER).check_output(restart)
    yield server
    server.host(SERVER).check_output(f"mv {hba}.kept {hba}")
    psql(server, SERVER, "ALTER SYSTEM RESET listen_addresses")
    server.host(SERVER).check_output(restart)
    psql(server, SERVER, f"DROP ROLE {ROLE}")


@pytest.fixture(scope="module")
def site(open_postgres: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose clients have a login to the database."""
    folder = tmp_path_factory.mktemp("modes")
    (folder / "url").write_text(url(open_postgres), "utf-8")
    clients = {"client_database_url": {"file": str(folder / "url")}, "x_note": "hosted unless said"}
    return open_postgres.site(folder / "site", group_vars={"clients": clients})


@pytest.fixture(scope="module", params=["laptop", "this machine"])
def place(
    request: pytest.FixtureRequest, open_postgres: LiveLab, site: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A client with the server's release, whose user had a profiles file of its own."""
    found: Place = ThisMachine(open_postgres, tmp_path_factory.mktemp("home"))
    if request.param == "laptop":
        found = Laptop(open_postgres, "laptop1")
        open_postgres.up("laptop1")
    put(found, ".prefect/profiles.toml", THEIRS, "0644")
    succeeded(found.configure("--install", inventory=site))
    yield found
    succeeded(found.configure("--undo", inventory=site))
    assert profiles(found) == (THEIRS, "644")
    found.shell("rm -rf .prefect flow.py")


def test_hosted(open_postgres: LiveLab, place: Place, site: Path) -> None:
    assert counts(place.configure(inventory=site), place.name)["changed"] == 0
    name = unique("hosted")
    run_flow(place, name)
    assert (runs_in_postgres(open_postgres, name), runs_in_file(place, name)) == ("COMPLETED", 0)


def test_a_login_that_fails_leaves_the_profile_alone(open_postgres: LiveLab, place: Place, tmp_path: Path) -> None:
    before = profiles(place)
    (tmp_path / "url").write_text(url(open_postgres, "wrong"), "utf-8")
    clients = {"client_mode": "database", "client_database_url": {"file": str(tmp_path / "url")}}
    bad = open_postgres.site(tmp_path / "site", group_vars={"clients": clients})
    done = place.configure(inventory=bad)
    assert done.returncode == 2 and f"refuses the login of {ROLE}" in done.stdout, done.stdout
    (tmp_path / "url").write_text(url(open_postgres).replace("5432/prefect", "5432/postgres"), "utf-8")
    done = place.configure(inventory=bad)
    assert done.returncode == 2 and "refuses logins from" in done.stdout, done.stdout
    assert profiles(place) == before


def test_database(open_postgres: LiveLab, place: Place, site: Path) -> None:
    """The flow's own temporary API writes to the server's Postgres, where the server reads the run back."""
    lab, before = open_postgres, profiles(place)
    done = place.configure("--mode", "database", "--diff", inventory=site)
    said = succeeded(done) + done.stderr
    assert changed(done) == {"PrefectProfile:hosted"}
    for wanted in (
        "accepts laptops from this machine",
        "its own temporary API: no UI",
        "anyone who reads it can change all of",
    ):
        assert wanted in said
    assert PASSWORD not in said and ENCODED not in said
    text, mode = profiles(place)
    assert f'PREFECT_SERVER_DATABASE_CONNECTION_URL = "{url(lab).replace("://", "+asyncpg://")}"' in text
    assert "PREFECT_API_URL" not in text.partition("[profiles.hosted]")[2] and mode == "600"
    assert 'PREFECT_SERVER_DATABASE_MIGRATE_ON_START = "false"' in text
    assert counts(place.configure("--mode", "database", inventory=site), place.name)["changed"] == 0
    name = unique("database")
    assert "Starting temporary server" in run_flow(place, name)
    assert (runs_in_postgres(lab, name), runs_in_file(place, name)) == ("COMPLETED", 0)
    assert "PREFECT_API_URL: absent -> http" in succeeded(place.configure(inventory=site))
    assert lines(place) == sorted(before[0].splitlines()), "hosted again, and no login left in the profile"


@pytest.mark.parametrize("place", ["laptop"], indirect=True)
def test_verify_proves_the_mode_database(open_postgres: LiveLab, site: Path, place: Place) -> None:
    """``fab verify`` is for the hosts of an inventory."""
    succeeded(place.configure("--mode", "database", inventory=site))
    done = open_postgres.fab("-H", place.name, "verify", "--set", "client_mode=database", inventory=site)
    assert re.search(r"flow run [0-9a-f-]{36}, task run [0-9a-f-]{36}, log line read back", succeeded(done)), (
        done.stdout
    )
    other = open_postgres.fab("-H", place.name, "verify", inventory=site)
    assert other.returncode == 2 and "Prefect uses no API URL here" in other.stdout
    succeeded(place.configure(inventory=site))


def test_local(open_postgres: LiveLab, place: Place, site: Path) -> None:
    """Plain ephemeral again; what else points elsewhere is told; the way back is open."""
    before = profiles(place)
    put(place, ".env", "PREFECT_API_URL=http://dotenv:4200/api\n")
    put(place, "pyproject.toml", '[tool.prefect.api]\nurl = "http://project:4200/api"\n')
    put(place, ".zshenv", "export PREFECT_API_URL=http://shell:4200/api\n")
    done = place.configure("--mode", "local", inventory=site)
    place.shell("rm .env pyproject.toml .zshenv")
    said = succeeded(done)
    assert changed(done) == {"PrefectProfile:(active)"} and "PREFECT_API_URL: http" in said and "-> absent" in said
    for where in (r"\.env:1", r"pyproject\.toml:2", r"\.zshenv:1"):
        assert re.search(rf"{where}: PREFECT_API_URL=\S+ still sends flow runs to that API", said), f"{where}\n{said}"
    assert counts(place.configure("--mode", "local", inventory=site), place.name)["changed"] == 0
    name = unique("local")
    run_flow(place, name)
    assert (runs_in_postgres(open_postgres, name), runs_in_file(place, name)) == ("", 1)
    assert 'active = "hosted"' in profiles(place)[0] and "work.example" in profiles(place)[0]
    succeeded(place.configure(inventory=site))
    assert lines(place) == sorted(before[0].splitlines())


def test_a_database_that_no_laptop_can_use_is_refused_with_no_host_touched(server: LiveLab, tmp_path: Path) -> None:
    before = server.ssh_sessions("laptop1")
    for settings, reason in (
        ({}, "uses Postgres through a local socket"),
        ({"database": "sqlite"}, "a file that other machines cannot share"),
    ):
        site = server.site(tmp_path / "socket", host_vars={SERVER: settings})
        done = server.fab("-H", "laptop1", "configure-client", "--mode", "database", inventory=site)
        assert done.returncode == 4 and reason in done.stderr and "client_database_url:" in done.stderr, done.stderr
    bad = server.fab("-H", "laptop1", "configure-client", "--mode", "cloud")
    assert bad.returncode == 1 and "one of hosted, database, local" in bad.stderr
    assert server.ssh_sessions("laptop1") == before


# -- two instances, two profiles -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(server: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The server with a second instance on SQLite, and laptop1 without profiles."""
    instances = {"default": {}, "personal": {"port": 4202, "database": "sqlite"}}
    public_url = f"http://{server.address(SERVER)}"
    instances = {"default": {"public_url": f"{public_url}:4200"}, "personal": {**instances["personal"]}}
    instances["personal"]["public_url"] = f"{public_url}:4202"
    site = server.site(tmp_path_factory.mktemp("two") / "site", host_vars={SERVER: {"instances": instances}})
    server.up("laptop1")
    server.ssh("laptop1", "rm -rf .prefect .local/state/encamp")
    succeeded(server.fab("-H", SERVER, "deploy", "--no-verify", inventory=site))
    yield site
    server.ssh("laptop1", "rm -rf .prefect .local/state/encamp flow.py")
    succeeded(server.fab("-H", SERVER, "undeploy", "--instance", "personal", inventory=site))


def test_two_profiles_are_switched_by_prefect_itself(server: LiveLab, two: Path) -> None:
    laptop = Laptop(server, "laptop1")
    done = laptop.configure("--install", inventory=two)
    assert {"PrefectProfile:hosted", "PrefectProfile:personal"} <= changed(done), done.stdout + done.stderr
    text = profiles(laptop)[0]
    assert text.startswith('active = "hosted"') and ":4202/api" in text.partition("[profiles.personal]")[2]
    landed = {}
    for profile in ("personal", "hosted"):
        laptop.shell(f".local/share/encamp/prefect/bin/prefect profile use {profile}")
        assert counts(laptop.configure(inventory=two), "laptop1")["changed"] == 0, "the user's choice stays"
        name = unique(profile)
        run_flow(laptop, name)
        query = f"SELECT count(*) FROM flow WHERE name = '{name}'"
        script = f"import sqlite3; print(sqlite3.connect('{PERSONAL}').execute({query!r}).fetchone()[0])"
        in_file = server.ssh(SERVER, "sudo python3 -", text=script).stdout.strip()
        landed[profile] = (psql(server, SERVER, query), in_file)
    assert landed == {"personal": ("0", "1"), "hosted": ("1", "0")}
    proofs = server.fab("-H", "laptop1", "verify", inventory=two)
    assert all(f"(client {profile})" in succeeded(proofs) for profile in landed)
    assert "personal" in succeeded(laptop.configure("--instance", "personal", "--check", inventory=two))
    succeeded(laptop.configure("--instance", "personal", inventory=two))
    assert profiles(laptop)[0].startswith('active = "personal"')
    wrong = laptop.configure("--instance", "persona", inventory=two)
    assert wrong.returncode == 1 and "it has: default, personal" in wrong.stderr
    one_name = laptop.configure("--profile", "mine", inventory=two)
    assert one_name.returncode == 1 and "--instance" in one_name.stderr
    succeeded(laptop.configure("--undo", inventory=two))
    assert profiles(laptop) == ("", "")


# -- releases --------------------------------------------------------------------------------------------------------


def test_an_older_client_works_and_is_refused_where_it_cannot(server: LiveLab, tmp_path: Path) -> None:
    """2.20 against the server's 3.x: its flows run; user and password it cannot send."""
    server.up("laptop2")
    laptop = Laptop(server, "laptop2")
    laptop.shell("rm -rf .prefect .local/state/encamp .local/share/encamp .local/bin/prefect")
    try:
        done = laptop.configure("--install", "--set", "prefect_version=2.20.26")
        assert ": older than the server" not in done.stdout
        again = laptop.configure()
        assert ": older than the server" in succeeded(again)
        assert "EPHEMERAL" not in profiles(laptop)[0], "2.20 stops at an unknown name"
        name = unique("older")
        run_flow(laptop, name)
        assert runs_in_postgres(server, name) == "COMPLETED"
        before = profiles(laptop)
        (tmp_path / "auth").write_text("admin:secret\n", "utf-8")
        (tmp_path / "url").write_text(url(server), "utf-8")
        with_auth = server.site(
            tmp_path / "site",
            host_vars={SERVER: {"auth": {"file": str(tmp_path / "auth")}}},
            group_vars={"clients": {"client_database_url": {"file": str(tmp_path / "url")}}},
        )
        refused = laptop.configure(inventory=with_auth)
        assert refused.returncode == 2 and "clients before 3.1.8 cannot send" in refused.stdout, refused.stdout
        assert "fix:" in refused.stdout and "secret" not in refused.stdout
        assert profiles(laptop) == before
    finally:
        laptop.configure("--undo")
        laptop.shell("rm -rf .prefect .local/state/encamp .local/share/encamp .local/bin/prefect flow.py")


def test_a_newer_generation_is_refused(server: LiveLab, tmp_path: Path) -> None:
    """3.x clients refuse a server of Prefect 2 by themselves; here before their profile is touched."""
    laptop = Laptop(server, "laptop1")
    laptop.shell("rm -rf .prefect .local/state/encamp")
    site = server.site(tmp_path / "site", host_vars={SERVER: {"prefect_version": "2.20.26"}})
    succeeded(laptop.configure("--install", "--mode", "local"))
    done = laptop.configure(inventory=site)
    assert done.returncode == 2 and "Found incompatible versions" in done.stdout and "2.20.26" in done.stdout
    assert profiles(laptop) == ("", "")
