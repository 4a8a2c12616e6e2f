"""Generated secrets get new values while everything uses them: Postgres on another host, basic auth, a worker, https.

The controller is killed on the way, as by a cancelled job; the next run must finish the change.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from copies import start_copies
from deployed import CLIENT as PREPARED
from deployed import SQLITE
from layout import CHECKOUT
from live import LiveLab

from tests.integration.looks import Fab, changed, counts, succeeded
from tests.integration.sites import KEEPER, LAPTOP, SERVER, WORKER, with_every_secret

HOSTS = (KEEPER, SERVER, WORKER)
AUTH, ROLE, AUTHORITY = f"{SERVER}/default/api-auth", f"{KEEPER}/postgres/prefect", "tls-ca"
SERVER_ENV, WORKER_ENV = (f"/etc/prefect/default/{name}.env" for name in ("server", "worker"))
CLIENT = ("-H", LAPTOP, "configure-client")
#: A login as the server does it, by its driver.
LOGIN = """
import asyncio, asyncpg, sys
login = asyncpg.connect(host=sys.argv[1], user="prefect", database="prefect", password=sys.stdin.read())
asyncio.run(login)
"""
COMPLETED = "log line read back"


class Site:
    """One server with all that has a secret: its database, its auth, its certificate, its worker and its client."""

    def __init__(self, lab: LiveLab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        with_every_secret(lab, folder, {"work_pool": "default"})

    def fab(self, *words: str) -> Fab:
        return self.lab.fab(*words, inventory=self.folder)

    def files(self, name: str) -> list[str]:
        """What the store holds of a secret."""
        start = name.replace("/", "+")
        return sorted(path.name[len(start) :] for path in (self.folder / "secrets").glob(f"{start}*"))

    def value(self, name: str) -> str:
        return (self.folder / "secrets" / name.replace("/", "+")).read_text("utf-8").strip()

    def login(self, password: str) -> bool:
        """Whether Postgres lets the server's host in with a password."""
        python = ["/opt/prefect/default/bin/python", "-c", LOGIN, self.lab.address(KEEPER)]
        command = ["docker", "exec", "-i", self.lab.lab.container(SERVER), *python]
        done = subprocess.run(command, input=password, capture_output=True, text=True)
        assert done.returncode == 0 or "InvalidPasswordError" in done.stderr, done.stderr
        return done.returncode == 0

    def status(self, password: str, authority: str = "/etc/encamp/ca/api-vm2-default.pem") -> int:
        """What the API answers to the worker's host; 0 where it does not trust the certificate."""
        url = f"https://{self.lab.address(SERVER)}/api/admin/version"
        command = f"curl -s -o /dev/null -w '%{{http_code}}' --max-time 20 --cacert {authority} -K - {url}"
        return int(self.lab.ssh(WORKER, command, check=False, text=f'user = "admin:{password}"\n').stdout)

    def killed_at(self, name: str, host: str, step: str) -> None:
        """Rotate a secret, and kill the controller as soon as it hears that a host has taken a step."""
        events = self.folder / "events.jsonl"
        events.unlink(missing_ok=True)
        program = [str(Path(sys.executable).with_name("fab")), "secrets", "rotate", name, "--json", str(events)]
        run = subprocess.Popen(
            program,
            cwd=CHECKOUT,
            env={**os.environ, "ENCAMP_INVENTORY": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while run.poll() is None and not _taken(events, host, step):
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        told = run.communicate()[0]
        assert run.returncode == -signal.SIGKILL, told
        assert "~old" in self.files(name), told

    def finish(self, *words: str) -> Fab:
        """A run after a killed one: a host ends its step at hand, and its lock, by itself."""
        done = self.fab(*words, "--wait", "120")
        succeeded(done)
        return done


def _taken(events: Path, host: str, step: str) -> bool:
    """Whether a host has told that it changed something in a step."""
    if not events.exists():
        return False
    lines = [line for line in events.read_text("utf-8").split("\n")[:-1] if line]
    steps = [event for event in map(json.loads, lines) if event["event"] == "step" and event["host"] == host]
    return any(event["step"] == step and event["status"] == "changed" for event in steps)


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    start_copies(lab, {LAPTOP: PREPARED, SERVER: SQLITE, WORKER: SQLITE})  # for their environments
    lab.host(WORKER).check_output("systemctl disable --now prefect-server")
    lab.up(KEEPER)
    made = Site(lab, tmp_path_factory.mktemp("rotation"))
    succeeded(made.fab("deploy", "--no-verify"))
    succeeded(made.fab(*CLIENT, "--install"))
    return made


def test_a_look_changes_nothing(site: Site) -> None:
    before = {path.name: path.read_text() for path in (site.folder / "secrets").iterdir()}
    done = site.fab("secrets", "rotate", ROLE, "--check")
    succeeded(done)
    assert counts(done, SERVER)["would-change"] == 0 and not site.files(ROLE)[1:]
    assert {path.name: path.read_text() for path in (site.folder / "secrets").iterdir()} == before


def test_nothing_begins_where_a_host_is_away(site: Site) -> None:
    before = site.value(ROLE)
    with site.lab.unplugged(KEEPER):
        done = site.fab("secrets", "rotate", ROLE, "--set", "connect_tries=1", "--set", "connect_timeout=3")
    assert done.returncode == 3 and "unreachable" in done.stdout, done.stdout + done.stderr
    assert site.value(ROLE) == before and site.files(ROLE) == [""]
    assert site.login(before)


@pytest.mark.parametrize(
    ("host", "step", "words"),
    [
        (KEEPER, "PostgresRole:prefect", ("deploy", "--no-verify")),
        (SERVER, f"File:{SERVER_ENV}", ("secrets", "rotate", ROLE)),
    ],
)
def test_the_password_of_a_role_on_another_host(site: Site, host: str, step: str, words: tuple[str, ...]) -> None:
    """Postgres first, then the server; killed after either, the next run ends with one password everywhere."""
    old = site.value(ROLE)
    site.killed_at(ROLE, host, step)
    new = site.value(ROLE)
    assert new != old and site.login(new) and not site.login(old)
    listed = succeeded(site.fab("secrets"))
    assert (
        "rotation in progress: `fab deploy` or `fab secrets rotate" in listed
        and new not in listed
        and old not in listed
    )
    done = site.finish(*words)
    assert f"{ROLE} has been replaced on {KEEPER}, {SERVER}; the old value is deleted" in done.stdout
    assert site.value(ROLE) == new and site.files(ROLE) == [""]
    assert new in site.lab.host(SERVER).file(SERVER_ENV).content_string
    pid = site.lab.host(SERVER).check_output("systemctl show -p MainPID --value prefect-server.service")
    assert new in site.lab.host(SERVER).check_output(f"cat /proc/{pid}/environ | tr '\\0' '\\n'")
    assert site.status(site.value(AUTH)) == 200 and new not in done.stdout + done.stderr


def test_the_auth_string(site: Site) -> None:
    """The server, then its worker. The old string is kept until both have the new one, which is the same all along."""
    old = site.value(AUTH)
    site.killed_at(AUTH, SERVER, "Restart:prefect-server.service")
    new = site.value(AUTH)
    done = site.finish("-H", SERVER, "deploy", "--no-verify")  # which cannot know of the worker
    assert f"{AUTH}: the rotation is not complete: {WORKER} may still have the old value" in done.stdout
    assert site.files(AUTH) == ["", "~old"]
    site.killed_at(AUTH, WORKER, f"File:{WORKER_ENV}")  # and before the worker was restarted
    done = site.finish("secrets", "rotate", AUTH)
    assert f"{AUTH} has been replaced on {SERVER}, {WORKER}; the old value is deleted" in done.stdout
    assert f"next: fab -H {LAPTOP} configure-client" in done.stdout and COMPLETED in done.stdout
    assert (site.status(old), site.status(new)) == (401, 200) and site.files(AUTH) == [""]
    env = site.lab.host(WORKER).file(WORKER_ENV).content_string
    assert new in env and old not in env
    refused = site.lab.ssh(LAPTOP, "bash -lc 'prefect flow-run ls'", check=False)
    assert refused.returncode != 0 and "401" in refused.stdout + refused.stderr
    succeeded(site.fab(*CLIENT))
    site.lab.ssh(LAPTOP, "bash -lc 'prefect flow-run ls'")


def test_the_authority_is_trusted_before_certificates_change(site: Site) -> None:
    """Two calls, with the clients between them; the second is killed when the server has its new certificate."""
    first = _issuer(site)
    done = site.fab("secrets", "rotate", AUTHORITY, "--json", "-")
    events = [json.loads(line)["event"] for line in succeeded(done).splitlines()]
    assert [event for event in events if event in ("run", "recap")] == ["run", "recap"] * 2  # a look, and the deploy
    assert f"next: fab -H {LAPTOP} configure-client" in done.stderr
    assert _issuer(site) == first and site.files(AUTHORITY) == ["", "~next"]
    assert _trusted(site) == 2
    succeeded(site.fab(*CLIENT))
    site.killed_at(AUTHORITY, SERVER, "File:/etc/caddy/encamp/default.pem")
    done = site.finish("deploy", "--no-verify")
    assert f"{AUTHORITY} has been replaced on {SERVER}, {WORKER}" in done.stdout
    assert _issuer(site) != first and _trusted(site) == 2 and site.files(AUTHORITY) == [""]
    assert COMPLETED in succeeded(site.fab("-H", LAPTOP, "verify"))
    done = site.fab("deploy", "--no-verify")
    assert f"CaBundle:api-{SERVER}-default" in changed(done) and _trusted(site) == 1, succeeded(done)
    assert site.status(site.value(AUTH)) == 200
    again = site.fab("deploy", "--no-verify")
    assert [counts(again, name)["changed"] for name in HOSTS] == [0, 0, 0], succeeded(again)


def _issuer(site: Site) -> str:
    """The authority of the certificate that the server shows."""
    address = site.lab.address(SERVER)
    command = f"openssl s_client -connect {address}:443 </dev/null 2>/dev/null | openssl x509 -noout -issuer"
    return site.lab.host(WORKER).check_output(command)


def _trusted(site: Site) -> int:
    """How many authorities of the site the worker's programs trust for this server. The lab's own is another."""
    text = site.lab.host(WORKER).file(f"/etc/encamp/ca/api-{SERVER}-default.pem").content_string
    found = subprocess.run(
        ["openssl", "storeutl", "-noout", "-text", "-certs", "/dev/stdin"], input=text, capture_output=True, text=True
    ).stdout
    return found.count("Subject: CN = encamp CA") + found.count("Subject: CN=encamp CA")
