"""No secret is seen where it must not be: all of a deploy is watched, then everything that it left is searched.

A fresh site with every secret that encamp makes: Postgres on another host, basic auth, an authority and its keys;
besides one of the operator's own with every printable character. tests/lab/watch.py says what the watching cannot see.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from layout import CHECKOUT
from live import LiveLab
from shell import run

from encamp.resources.postgres import scram as postgres_scram
from encamp.shared.secret import Secret
from encamp.support import quoting
from roles.client.kinds.profile.edit import Edit, edited, quoted
from roles.database.url import Connection
from tests.integration.looks import succeeded
from tests.integration.sites import KEEPER, LAPTOP, SERVER, WORKER, with_every_secret
from tests.integration.watched import Watch, forms, holding, processes, written

HOSTS = (KEEPER, SERVER, WORKER, LAPTOP)
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
#: What an operator gives to a worker's flows: every printable character, spaces at both ends, and what is not ASCII.
#: Some are chance's, as another run's value on this machine is no leak of this one.
TOKEN = f" {PRINTABLE} ü\u0308 \N{GRINNING FACE} \u05d0\u05d1 ${{HOME}} %h $$ \\n {os.urandom(8).hex()} "
#: The files that are meant to hold secrets, with mode, owner and group.
MEANT: dict[str, dict[str, tuple[int, str, str]]] = {
    KEEPER: {},
    SERVER: {
        "/etc/prefect/default/server.env": (0o640, "root", "prefect"),
        "/etc/caddy/encamp/default.pem": (0o640, "root", "caddy"),
    },
    WORKER: {
        "/etc/prefect/default/worker.env": (0o640, "root", "prefect-worker"),
        "/etc/prefect/default/worker-default.env": (0o640, "root", "prefect-worker"),
    },
    LAPTOP: {"/home/dev/.prefect/profiles.toml": (0o600, "dev", "dev")},
}
#: Where a file may be written, for a moment or to stay. The last is Prefect's own: what a worker tells a flow run,
#: 0600 in the unit's private /tmp.
PLACES = (
    *("/etc/prefect/", "/etc/caddy/encamp/", "/home/dev/.prefect/", "/home/dev/.local/state/encamp/"),
    "/tmp/prefect-workspace-attempt-",
)
SEARCHED = "/etc /var /opt /tmp /run /root /home /dev/shm /srv /usr/local"
#: The search itself, and journals, which are read by their own program.
NOT_SEARCHED = ("--exclude-dir=journal", "--exclude-dir=site-packages", "--exclude-dir=uv")


class Watched:
    """A site that was deployed from nothing, and all that was seen meanwhile."""

    def __init__(self, lab: LiveLab, folder: Path) -> None:
        self.lab, self.folder, self.began = lab, folder, time.time()
        self.output = ""
        workers = [{"environment": {"LAB_TOKEN": {"file": "token"}}}]
        with_every_secret(lab, folder, {"workers": workers})
        (folder / "token").write_text(TOKEN + "\n", "utf-8")
        (folder / "token").chmod(0o600)

    def fab(self, *words: str) -> None:
        done = self.lab.fab(*words, inventory=self.folder, env={"ENCAMP_WATCHED": "yes"})
        self.output += succeeded(done) + done.stderr

    def kept(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text("utf-8").strip()

    def secrets(self) -> dict[str, list[bytes]]:
        """Every secret of the site in all its forms."""
        names = {"auth": f"{SERVER}+default+api-auth", "role": f"{KEEPER}+postgres+prefect", "authority": "tls-ca"}
        found = {name: forms(self.kept(file)) for name, file in names.items()}
        pem = self.lab.host(SERVER).file("/etc/caddy/encamp/default.pem").content_string
        key = re.search(r"BEGIN PRIVATE KEY-----\n(.+?)\n-----END", pem, re.DOTALL)
        assert key, "no key and no password"
        return {**found, "key": [line.encode() for line in key[1].splitlines()[:2]], "token": forms(TOKEN)}


@pytest.fixture(scope="module")
def watch(lab: LiveLab) -> Iterator[Watch]:
    lab.up(*HOSTS)
    with Watch(lab, HOSTS) as found:
        yield found


@pytest.fixture(scope="module")
def site(lab: LiveLab, watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    made = Watched(lab, tmp_path_factory.mktemp("secrets"))
    made.fab("deploy", "--diff", "--verbose", "--json", str(made.folder / "events.jsonl"))
    made.fab("-H", LAPTOP, "configure-client", "--install", "--diff", "--json", str(made.folder / "client.jsonl"))
    made.fab("-H", LAPTOP, "verify")
    made.fab("secrets", "--test")
    made.fab("settings")
    return made


def files(lab: LiveLab, host: str, secrets: Mapping[str, Sequence[bytes]]) -> set[str]:
    """The files of a host that hold a secret in any form."""
    needles = b"\n".join(form for found in secrets.values() for form in found)
    words = ["grep", "-rlaF", "-D", "skip", *NOT_SEARCHED, "-f", "-", *SEARCHED.split()]
    command = ["docker", "exec", "-i", lab.lab.container(host), *words]
    return set(subprocess.run(command, input=needles, capture_output=True, check=False).stdout.decode().split("\n")) - {
        ""
    }


def test_the_watch_saw_the_deploy(site: Watched, watch: Watch) -> None:
    """It saw what there was to see: sudo, psql, uv, the service; and the files that hold secrets."""
    argvs = b"\n".join(one.argv for one in watch.samples)
    lasting = [b"sudo\0-S", b"/opt/prefect/default/bin/prefect\0server\0start"]
    for word in [*lasting, *([] if "starts" in watch.lacks else [b"psql\0", b"uv\0"])]:
        assert word in argvs, f"{word!r} was not seen"
    secrets = site.secrets()
    assert "files" in watch.lacks or written(watch.samples, secrets, ()), "the settings' files were not seen"
    services = {one.uid for one in watch.samples if holding(one.environ, secrets)}
    assert "environments" in watch.lacks or services, "the services' environments were not seen"


def test_no_process_has_a_secret(site: Watched, watch: Watch) -> None:
    users = ((SERVER, "prefect"), (WORKER, "prefect-worker"))
    services = {site.lab.host(host).user(name).uid for host, name in users}
    assert processes(watch.samples, site.secrets(), services) == []


def test_no_file_was_written_where_others_can_read_it(site: Watched, watch: Watch) -> None:
    assert written(watch.samples, site.secrets(), (*PLACES, f"{site.folder}/secrets/")) == []


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_keeps_them_where_they_belong_only(site: Watched, host: str) -> None:
    secrets, found = site.secrets(), site.lab.host(host)
    assert files(site.lab, host, secrets) == set(MEANT[host])
    for path, wanted in MEANT[host].items():
        file = found.file(path)
        assert (file.mode, file.user, file.group) == wanted, path
    found.check_output("journalctl --sync")
    command = ["docker", "exec", site.lab.lab.container(host), "journalctl", "-q", "--all", "-o", "export"]
    assert holding(subprocess.run(command, capture_output=True, check=True).stdout, secrets) == []
    core = "find / -xdev -type f -regex '.*/core\\(\\.[0-9]+\\)?' -not -path '*/jsonschema_specifications/*'"
    assert found.run(core).stdout == ""


def test_this_machine_keeps_them_in_its_store_only(site: Watched) -> None:
    """Files that are newer than the test, of the project and wherever programs put things by themselves."""
    secrets = site.secrets()
    assert holding(site.output.encode(), secrets) == []
    newer = ["-xdev", "-type", "f", "-newermt", f"@{site.began:.3f}", "-size", "-20M", "-print0"]
    listed = b""
    for depth, place in (
        *((20, str(place)) for place in (CHECKOUT / ".encamp", site.folder, "/var/log", "/var/tmp", "/run")),
        (3, os.path.expanduser("~")),
        (1, "/tmp"),
    ):
        command = ["find", place, "-maxdepth", str(depth), *newer]
        listed += subprocess.run(command, capture_output=True, check=False).stdout
    found = {path for path in os.fsdecode(listed).split("\0")[:-1] if holding(_read(path), secrets)}
    stored = {str(path) for path in (site.folder / "secrets").iterdir() if path.name != ".gitignore"}
    assert found == stored | {str(site.folder / "token")}
    for path in found:
        assert os.stat(path).st_mode & 0o777 == 0o600


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def test_it_can_fail(site: Watched, watch: Watch) -> None:
    """A secret in an argument of a process that lives for a moment, in an environment, in files that others read."""
    planted = "planted" + os.urandom(8).hex()
    secrets = {"planted": forms(planted)}
    container = site.lab.lab.container(SERVER)
    run(["docker", "exec", site.lab.lab.container(LAPTOP), "/bin/true", f"--password={planted}"])
    subprocess.run(["/bin/true", base64.b64encode(f"admin:{planted}".encode()).decode()], check=True)
    run(["docker", "exec", "-e", f"PGPASSWORD={planted}", container, "/bin/sleep", "5"])
    run(["docker", "exec", container, "sh", "-c", "sleep 5; true", planted])
    shell = f"umask 022; echo {planted} > /tmp/gone; rm /tmp/gone; echo {planted} > /var/tmp/stays"
    run(["docker", "exec", container, "sh", "-c", shell])
    assert files(site.lab, SERVER, secrets) == {"/var/tmp/stays"}
    site.lab.host(SERVER).check_output("rm /var/tmp/stays")
    wanted = {
        "in an argument: sh -c sleep 5; true": "",
        "in an argument: /bin/true --password=": "starts",
        "in an argument: /bin/true YWRtaW46": "starts",
        "in the environment of uid 0: /bin/sleep 5": "environments",
        "tmp/gone (mode 0644)": "files",
        "/var/tmp/stays (mode 0644)": "files",
    }
    wanted = {text: lacked for text, lacked in wanted.items() if lacked not in watch.lacks}
    _wait_for(lambda: [*processes(watch.samples, secrets, set()), *written(watch.samples, secrets, PLACES)], wanted)


def test_a_watch_that_may_not_read_the_audit_samples(site: Watched, watch: Watch) -> None:
    """As on a machine where auditd runs, or the tests twice: it says so, it sees what lasts, and disturbs nobody."""
    container, first, second = site.lab.lab.container(SERVER), "first" + os.urandom(8).hex(), os.urandom(8).hex()
    with pytest.warns(UserWarning, match="processes are sampled in /proc only"), Watch(site.lab, (SERVER,)) as other:
        run(["docker", "exec", container, "sh", "-c", "sleep 2; true", first])
        _wait_for(lambda: processes(other.samples, {"first": forms(first)}, set()), ["argument: sh -c sleep 2; true"])
    if "starts" not in watch.lacks:
        run(["docker", "exec", container, "/bin/true", second])
        _wait_for(lambda: processes(watch.samples, {"second": forms(second)}, set()), ["argument: /bin/true"])


def _wait_for(found: Callable[[], Sequence[str]], wanted: Iterable[str]) -> None:
    """What is seen is told a moment later."""
    end = time.monotonic() + 180
    missing = list(wanted)
    while missing and time.monotonic() < end:
        time.sleep(0.5)
        told = "\n".join(found())
        missing = [text for text in missing if text not in told]
    assert missing == []


def test_a_value_with_every_character_reaches_the_running_process(site: Watched) -> None:
    """The operator's own, in a worker's environment file, as the kernel shows it of the worker."""
    host = site.lab.host(WORKER)
    pid = host.check_output("systemctl show -p MainPID --value prefect-worker-default.service")
    command = ["docker", "exec", site.lab.lab.container(WORKER), "cat", f"/proc/{pid}/environ"]
    environ = subprocess.run(command, capture_output=True, check=True).stdout
    values: dict[str, Any] = dict(line.decode().split("=", 1) for line in environ.split(b"\0") if line)
    assert values["LAB_TOKEN"] == TOKEN


# -- values that break what does not quote -----------------------------------------------------------------------------

#: Spaces at the ends, what each format escapes, what normalises (ligature, combining mark, no-break space), what does
#: not (emoji), and text from right to left, alone and mixed.
VALUES = [
    PRINTABLE,
    PRINTABLE[::-1],
    " a ",
    "'\"\\",
    "%41%%25%n",
    "$$HOME${HOME}`id`",
    ":@/#?&=+;,",
    "\\t\\\\t\\x41\\u0041",
    "u\u0308\ufb01\u00a0x",
    "\N{GRINNING FACE}\u200d\N{ROCKET}",
    "\u05d0\u05d1\u05d2",
    "\u202ea\u05d0b",
    "'''[x] # \"\"\"",
]
#: Logs in with each URL by the driver that Prefect uses, read as Prefect reads them; prints what comes of it.
LOGINS = """
import asyncio, json, os, sys
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from prefect.settings import Settings

async def answer(url, password):
    os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = url
    read = Settings().server.database.connection_url.get_secret_value()
    if read != url or make_url(read).password != password:
        return "read as something else"
    engine = create_async_engine(read)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(text("SELECT 'in'"))).scalar()
    except Exception as error:
        return repr(error)
    finally:
        await engine.dispose()

async def main():
    return [await answer(*one) for one in json.load(sys.stdin)]

print(json.dumps(asyncio.run(main())))
"""
PROFILES = """
import json
from prefect.settings import load_profiles, PREFECT_API_AUTH_STRING
found = load_profiles(False)
print(json.dumps([found[f"p{at}"].settings[PREFECT_API_AUTH_STRING] for at in range(len(list(found)))]))
"""


def _on(lab: LiveLab, host: str, words: Sequence[str], text: str = "", user: str = "root") -> str:
    """What a program prints on a host; its arguments are no shell's."""
    command = ["docker", "exec", "-i", "-u", user, lab.lab.container(host), *words]
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_postgres_lets_in_each_password_by_its_url(site: Watched) -> None:
    """As encamp writes verifier and URL; a login by asyncpg, and one by libpq, which hashes for itself."""
    lab, address = site.lab, site.lab.address(KEEPER)
    verifiers = [postgres_scram.verifier(value, os.urandom(16)) for value in VALUES]
    roles = [f"CREATE ROLE probe{at} LOGIN PASSWORD '{one}';" for at, one in enumerate(verifiers)]
    _on(lab, KEEPER, ["psql", "-Xqd", "prefect"], "\n".join(roles), "postgres")
    rule = f"host prefect all {address}/32 scram-sha-256\nhost prefect all {lab.address(SERVER)}/32 scram-sha-256\n"
    _on(lab, KEEPER, ["tee", "-a", "/etc/postgresql/15/main/pg_hba.conf"], rule)
    _on(lab, KEEPER, ["pg_ctlcluster", "15", "main", "reload"])
    urls = []
    for at, value in enumerate(VALUES):
        url = Connection(f"probe{at}", Secret(value), address, 5432, "prefect").url()
        assert isinstance(url, Secret)
        urls.append((url.reveal(), value))
    told = _on(lab, SERVER, ["/opt/prefect/default/bin/python", "-c", LOGINS], json.dumps(urls))
    assert json.loads(told) == ["in"] * len(VALUES)
    for at, value in enumerate(VALUES):
        words = ["psql", "-XAtq", "-h", address, "-U", f"probe{at}", "-d", "prefect", "-c", "SELECT 1"]
        assert _on(lab, KEEPER, ["env", f"PGPASSWORD={value}", *words]) == "1\n", value


def test_systemd_gives_each_value_to_the_process(site: Watched) -> None:
    """From an environment file, and as words of a command."""
    lines = [f"V{at}={quoting.env_value(value)}\n" for at, value in enumerate(VALUES)]
    _on(site.lab, SERVER, ["tee", "/run/probe.env"], "".join(lines))
    options = ["systemd-run", "--quiet", "--wait", "--pipe", "-p", "EnvironmentFile=/run/probe.env"]
    environ = _on(site.lab, SERVER, [*options, "cat", "/proc/self/environ"]).split("\0")
    found = dict(line.split("=", 1) for line in environ if line)
    assert [found.get(f"V{at}") for at in range(len(VALUES))] == VALUES
    program = "import json, sys; json.dump(sys.argv[1:], open('/run/probe.out', 'w'))"
    words = ["/usr/bin/python3", "-c", program, *VALUES]
    unit = f"[Service]\nType=oneshot\nExecStart={' '.join(map(quoting.unit_word, words))}\n"
    _on(site.lab, SERVER, ["tee", "/run/systemd/system/probe.service"], unit)
    _on(site.lab, SERVER, ["systemctl", "daemon-reload"])
    _on(site.lab, SERVER, ["systemctl", "start", "probe.service"])
    assert json.loads(_on(site.lab, SERVER, ["cat", "/run/probe.out"])) == VALUES


def test_prefect_reads_each_value_from_a_profile(site: Watched) -> None:
    text = ""
    for at, value in enumerate(VALUES):
        text = edited(text, Edit(f"p{at}", {"PREFECT_API_AUTH_STRING": quoted(value)}))
    _on(site.lab, LAPTOP, ["tee", "/tmp/profiles.toml"], text)
    python = "/home/dev/.local/share/encamp/prefect/bin/python"
    words = ["env", "HOME=/home/dev", "PREFECT_PROFILES_PATH=/tmp/profiles.toml", python, "-c", PROFILES]
    assert json.loads(_on(site.lab, LAPTOP, words, "", "dev")) == VALUES
