"""The backup program without a host: folders, manifests, retention, SQLite."""

from __future__ import annotations

import grp
import io
import json
import os
import pwd
import sqlite3
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from roles.backup.program import copies, folder, main, postgres, rehearsal, restore
from roles.backup.program.job import Failed, Job, read_job

DAY = 86400.0


def made(number: int, days: float, proven: bool = False) -> dict[str, Any]:
    """A manifest, as old as ``days``."""
    return {"name": f"b{number}", "began": 1000 * DAY - days * DAY, "proven": {"at": 1} if proven else None}


@pytest.mark.parametrize(
    ("known", "keep", "days", "gone"),
    [
        pytest.param([made(1, 3), made(2, 2), made(3, 1)], 2, 0, ["b1"], id="by number"),
        pytest.param([made(1, 3), made(2, 2), made(3, 1)], 1, 2.5, ["b1"], id="younger ones are kept, too"),
        pytest.param([made(1, 3, True), made(2, 2), made(3, 1)], 1, 0, ["b2"], id="the last proven one stays"),
        pytest.param([made(1, 3, True), made(2, 2, True), made(3, 1)], 1, 0, ["b1"], id="an older proven one does not"),
        pytest.param([made(1, 900)], 1, 1, [], id="the newest stays, however old"),
        pytest.param([made(1, 900), made(2, 800)], 0, 0, ["b1"], id="one stays whatever is asked"),
    ],
)
def test_what_is_deleted(known: list[dict[str, Any]], keep: int, days: float, gone: list[str]) -> None:
    assert [each["name"] for each in folder.superfluous(known, keep, days, 1000 * DAY)] == gone  # type: ignore[arg-type]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job with a SQLite database in WAL mode that somebody writes to."""
    path = tmp_path / "home" / "prefect.db"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(
        "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('abc123');"
        "CREATE TABLE flow_run (id); INSERT INTO flow_run VALUES (1), (2);"
    )
    connection.commit()
    connection.close()
    values = {"name": "prefect.sqlite", "kind": "sqlite", "directory": str(tmp_path / "backups"), "path": str(path)}
    (tmp_path / "job.conf").write_text(
        "# Managed by encamp\n" + json.dumps({**values, "release": "3.9.1", "encamp": "1"})
    )
    read = read_job(str(tmp_path / "job.conf"))
    read.user, read.group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    return read


class Options:
    """The options of a command."""

    def __init__(self, **given: str) -> None:
        self.run, self.backup, self.into, self.aside, self.how = "r", "latest", "", "", ""
        vars(self).update(given)


def call(command: str, job: Job, **options: str) -> dict[str, Any]:
    return main.COMMANDS[command](job, Options(**options))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's disk may be nearly full."""
    monkeypatch.setattr(folder, "RESERVE", 0)


def test_a_backup_is_taken_listed_loaded_and_put_in_place(job: Job, tmp_path: Path) -> None:
    taken = call("backup", job)
    with sqlite3.connect(job.path) as connection:
        connection.execute("INSERT INTO flow_run VALUES (3)")
    (listed,) = call("list", job)["backups"]
    assert (listed["name"], listed["head"], listed["prefect"], listed["proven"]) == (
        taken["name"],
        "abc123",
        "3.9.1",
        None,
    )
    new, aside = str(tmp_path / "home" / "new.db"), str(tmp_path / "home" / "old.db")
    assert call("load", job, into=new)["rows"] == 3
    call("swap", job, into=new, aside=aside)
    for path, rows in ((job.path, 2), (aside, 3)):
        assert sqlite3.connect(path).execute("SELECT count(*) FROM flow_run").fetchone() == (rows,)
    assert not os.path.exists(new)
    call("proven", job, how="seen")
    assert call("list", job)["backups"][0]["proven"]["how"] == "seen"


def test_a_lost_database_is_put_in_place_and_nothing_aside(job: Job, tmp_path: Path) -> None:
    call("backup", job)
    os.remove(job.path)
    new, aside = str(tmp_path / "home" / "new.db"), str(tmp_path / "home" / "old.db")
    call("load", job, into=new)
    assert call("swap", job, into=new, aside=aside)["aside"] == ""
    assert os.path.exists(job.path) and not os.path.exists(aside)


def test_an_exchange_of_names_waits_for_a_backup_under_way(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LOCK_SECONDS", 0)
    with folder.locked(job), pytest.raises(Failed, match="another run works in"):
        call("swap", job, into="new", aside="old")


def test_nothing_of_others_in_the_folder_is_touched(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.keep = 1
    first = call("backup", job)["name"]
    others = Path(job.folder)
    for name in ("20200101T000000Z", "mine", "mine.partial"):
        (others / name).mkdir()
    (others / "20200102T000000Z").mkdir()
    (others / "20200102T000000Z" / "manifest.json").write_text(json.dumps({"encamp": "1", "job": "another"}))
    (others / "20200103T000000Z.partial").mkdir()  # what a killed run left
    monkeypatch.setattr(folder, "new_name", lambda now: "20300101T000000Z")
    assert call("backup", job)["removed"] == [first]
    left = sorted(os.listdir(job.folder))
    assert left == [".lock", "20200101T000000Z", "20200102T000000Z", "20300101T000000Z", "mine", "mine.partial"]


def test_what_a_killed_restore_left_goes_with_the_next_one(job: Job, tmp_path: Path) -> None:
    call("backup", job)
    stem = f"{job.path}.restore-"
    for name in (f"{stem}20260101000000", f"{stem}mine", f"{job.path}.before-20260101000000"):
        Path(name).touch()
    call("load", job, into=f"{stem}20260102000000")
    left = sorted(path.name for path in Path(job.path).parent.iterdir() if path.name.startswith("prefect.db."))
    assert left == ["prefect.db.before-20260101000000", "prefect.db.restore-20260102000000", "prefect.db.restore-mine"]


def test_a_damaged_backup_is_not_loaded(job: Job, tmp_path: Path) -> None:
    name = call("backup", job)["name"]
    with open(Path(job.folder) / name / "prefect.db", "ab") as file:
        file.write(b"x")
    with pytest.raises(Failed, match=r"prefect\.db is not what was written"):
        call("load", job, into=str(tmp_path / "new.db"))
    os.remove(Path(job.folder) / name / "prefect.db")
    with pytest.raises(Failed, match=r"prefect\.db is missing"):
        call("load", job, into=str(tmp_path / "new.db"))


def test_a_backup_that_fails_leaves_nothing(job: Job) -> None:
    Path(job.path).write_bytes(b"no database at all" * 100)
    with pytest.raises(Failed, match="cannot be copied"):
        call("backup", job)
    assert os.listdir(job.folder) == [".lock"]


def test_a_link_to_another_accounts_database_is_not_followed(job: Job, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    os.rename(job.path, other)
    os.symlink(other, job.path)
    own, job.user = job.user, "nobody"
    with pytest.raises(Failed, match=f"leads to a file of user {os.geteuid()}, not of nobody"):
        call("backup", job)
    job.user = own
    assert call("backup", job)["counts"]["flow_run"] == 2, "a link to a file of its own is the service's business"


def test_a_rehearsal_makes_nothing_where_the_service_could_replace_it(job: Job, tmp_path: Path) -> None:
    call("backup", job)
    of_another, left = tmp_path / ".rehearsal-another-x", tmp_path / f".rehearsal-{job.name}-x"
    for place in (of_another, left):
        place.mkdir()
    seen: list[str] = []
    load = restore.load

    def noting(job: Job, manifest: folder.Manifest, name: str) -> list[str]:
        seen.append(os.path.dirname(name))
        return load(job, manifest, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore, "load", noting)
        call("rehearse", job)
    assert os.path.dirname(seen[0]) == str(tmp_path), "the service's home is a folder below"
    assert of_another.exists() and not left.exists() and not os.path.exists(seen[0])


def test_all_that_a_scratch_server_started_ends_with_it() -> None:
    words = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", words]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    assert server.stdout
    assert server.stdout.readline()
    began = time.monotonic()
    rehearsal._end(server)
    assert not server.stdout.read(), "nobody has the pipe any more"
    assert time.monotonic() - began < 30


def test_a_full_disk_is_told_before_it_is_full(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "RESERVE", 1 << 60)
    with pytest.raises(Failed, match="MiB must stay free"):
        call("backup", job)


def test_a_schema_that_the_release_does_not_know_is_refused(job: Job, tmp_path: Path) -> None:
    versions = (
        tmp_path / "envs/3.8.8-x/lib/python3.11/site-packages/prefect/server/database/_migrations/versions/sqlite"
    )
    versions.mkdir(parents=True)
    (versions / "one.py").write_text('revision = "def456"\ndown_revision = "abc123"\n')
    os.symlink(tmp_path / "envs/3.8.8-x", tmp_path / "default")
    job.link = str(tmp_path / "default")
    call("backup", job)
    with pytest.raises(Failed, match=r"Prefect 3\.8\.8 does not know the schema abc123"):
        call("check", job)
    (versions / "two.py").write_text("revision: str = 'abc123'\n")
    assert "3.8.8 knows its schema" in call("check", job)["text"]
    assert restore.revisions(job.link, "postgresql") == []


@pytest.mark.parametrize(
    ("url", "scratch"),
    [
        (
            "postgresql+asyncpg://prefect@/prefect?host=/var/run/postgresql",
            "postgresql+asyncpg://prefect@/x?host=/var/run/postgresql",
        ),
        ("postgresql+asyncpg://a:p%2Fw@db:5432/prefect", "postgresql+asyncpg://a:p%2Fw@db:5432/x"),
    ],
)
def test_the_url_of_a_rehearsal(url: str, scratch: str) -> None:
    assert rehearsal._scratch_url(url, Job("prefect", "postgres", "/b"), "x") == scratch


def test_a_server_that_a_killed_rehearsal_left_does_not_keep_its_database(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(postgres.Cluster, "__init__", lambda self, job: None)
    monkeypatch.setattr(postgres.Cluster, "exists", lambda self, name: name == "there")
    monkeypatch.setattr(postgres.Cluster, "sql", lambda self, statements, database="postgres": told.append(statements))
    for name in ("there", "gone"):
        postgres.drop(Job("prefect", "postgres", "/b"), name)
    (statements,) = told
    first, second, third = statements.rstrip(";").split("; ")
    assert first == 'ALTER DATABASE "there" WITH ALLOW_CONNECTIONS false'
    assert second.startswith("SELECT pg_terminate_backend(pid)") and second.endswith("datname = 'there'")
    assert third == 'DROP DATABASE "there"'


def test_no_function_of_the_databases_owner_is_called_by_the_superuser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns a database can define public.json_agg(name), which fits a query of tables better than Postgres's own."""
    asked: list[str] = []

    def value(self: postgres.Cluster, query: str, database: str = "postgres") -> str:
        asked.append(query)
        return "150018" if "num" in query else "t" if "to_regclass" in query else "15.18"

    monkeypatch.setattr(postgres, "SUPERUSER", pwd.getpwuid(os.geteuid()).pw_name)
    monkeypatch.setattr(postgres.Cluster, "value", value)
    cluster = postgres.Cluster(Job("prefect", "postgres", "/b"))
    assert "-c search_path=pg_catalog " in cluster.child()["env"]["PGOPTIONS"]
    cluster.head("prefect")
    assert asked[-1] == "SELECT version_num FROM public.alembic_version", "public is not searched"


@pytest.mark.parametrize(("user", "logs_in"), [("prefect", "prefect"), ("", "postgres")])
def test_who_loads_a_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, logs_in: str) -> None:
    """Functions of a dump's owner may run meanwhile, and become who logged in; elsewhere the owner has no account."""
    ran: list[tuple[list[str], str]] = []

    def run(self: postgres.Cluster, argv: list[str], stdin: str = "", fds: Any = (), user: str = "") -> str:
        ran.append((argv, user))
        return "150018" if "num" in stdin else ""

    own = pwd.getpwuid(os.geteuid())
    monkeypatch.setattr(postgres.pwd, "getpwnam", lambda name: own)
    monkeypatch.setattr(postgres.Cluster, "run", run)
    monkeypatch.setattr(postgres.Cluster, "value", lambda *_: "150018")
    (tmp_path / "data").mkdir()
    postgres.load(Job("prefect", "postgres", "/b", owner="prefect", user=user), str(tmp_path), "new", 1)
    ((argv, account),) = [(argv, account) for argv, account in ran if "pg_restore" in argv[0] and "-d" in argv]
    assert f"user='{logs_in}' dbname='new'" in argv[argv.index("-d") + 1]
    assert account == user and ("--role=prefect" in argv) is (not user)


def test_a_scratch_server_does_not_have_the_servers_password(job: Job, tmp_path: Path) -> None:
    env = tmp_path / "server.env"
    env.write_text('PREFECT_SERVER_API_AUTH_STRING="ada:secret"\nPREFECT_API_AUTH_STRING=ada:secret\nPREFECT_X=1\n')
    job.env_file = str(env)
    first, second = rehearsal._settings(job, "/s.db", "/h"), rehearsal._settings(job, "/s.db", "/h")
    assert "secret" not in str(first) and first["PREFECT_X"] == "1"
    assert len(first[rehearsal.AUTH]) > 30 and first[rehearsal.AUTH] != second[rehearsal.AUTH]
    env.write_text("PREFECT_X=1\n")
    assert rehearsal.AUTH not in rehearsal._settings(job, "/s.db", "/h")


def test_names_and_texts_are_quoted() -> None:
    assert postgres.identifier('a"b') == '"a""b"'
    assert postgres.literal("it's") == "'it''s'"
    assert postgres.literal("a\\b") == " E'a\\\\b'"


def packed(members: dict[str, bytes | None]) -> io.BytesIO:
    """A tar: paths and their contents; None is a symlink to /etc/passwd."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, content in members.items():
            member = tarfile.TarInfo(path)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            member.size = len(content or b"")
            archive.addfile(member, io.BytesIO(content or b""))
    stream.seek(0)
    return stream


def test_a_command_gets_the_backup_and_another_host_stores_it(job: Job, tmp_path: Path) -> None:
    store = Job(job.name, "sqlite", str(tmp_path / "store"), keep=1)
    job.command, job.environment = ["sh", "-c", 'cat > "$TARGET"'], {"TARGET": str(tmp_path / "tar")}
    taken = call("backup", job)
    assert taken["text"].endswith("; copied to sh")
    with open(tmp_path / "tar", "rb") as stream:
        assert copies.receive(store, stream) == taken["name"]
    (stored,) = folder.backups(store)
    folder.verify(store, stored)
    with open(tmp_path / "tar", "rb") as stream, pytest.raises(Failed, match="there is a backup"):
        copies.receive(store, stream)
    whole = (tmp_path / "tar").read_bytes()
    with pytest.raises(Failed, match="cut off"):
        copies.receive(Job(job.name, "sqlite", str(tmp_path / "other")), io.BytesIO(whole[: len(whole) // 2]))
    assert os.listdir(tmp_path / "other" / job.name) == [".lock"]


def test_a_copy_that_fails_is_told_and_the_backup_stays(job: Job) -> None:
    job.command = ["sh", "-c", "cat > /dev/null; echo no space >&2; exit 3"]
    with pytest.raises(Failed, match=r"is here, but not at sh: sh exited 3: no space"):
        call("backup", job)
    assert len(call("list", job)["backups"]) == 1
    job.command = ["sh", "-c", "exit 4"]  # it reads nothing
    with pytest.raises(Failed, match="sh exited 4"):
        copies.send(job, folder.backups(job)[-1]["name"])
    job.command = ["/no/such/program"]
    with pytest.raises(Failed, match="No such file"):
        copies.send(job, folder.backups(job)[-1]["name"])


NAME = "20260101T000000Z"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "empty"),
        ({"../x": b""}, "no backup"),
        ({f"{NAME}/../../x": b""}, "no backup"),
        ({f"{NAME}/data/../../x": b""}, "no backup"),
        ({"/etc/cron.d/x": b""}, "no backup"),
        ({f"{NAME}/data/x": None}, "does not belong"),
        ({f"{NAME}/manifest.json": b"{}"}, "no such manifest"),
        ({f"{NAME}/manifest.json": b'{"encamp": "1", "job": "another"}'}, "no such manifest"),
        ({f"{NAME}/manifest.json": b'{"encamp": "1", "job": "prefect", "files": {}, "format": 1}'}, "has no began"),
        ({f"{NAME}/prefect.db": b"x", "20260102T000000Z/prefect.db": b"y"}, "does not belong"),
        ({f"{NAME}/.ssh": b""}, "no backup"),
    ],
)
def test_what_is_no_backup_is_not_stored(tmp_path: Path, members: dict[str, bytes | None], said: str) -> None:
    store = Job("prefect", "postgres", str(tmp_path / "store"))
    with pytest.raises(Failed, match=said):
        copies.receive(store, packed(members))
    assert os.listdir(store.folder) == [".lock"]
    assert sorted(os.listdir(tmp_path)) == ["store"]
