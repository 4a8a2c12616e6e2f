"""Who may use a server: auth in step on server, worker and laptop, CSRF, and a port that is not open to the world.

vm2 is the server, with a worker and SQLite; auth is switched on, changed, and switched off again around its clients.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from copies import start_copies
from deployed import CLIENT as PREPARED
from deployed import SQLITE
from live import LiveLab

from tests.integration.looks import Fab, changed, counts, snapshot, succeeded

SERVER, CLIENT, STRANGER = "vm2", "laptop1", "laptop2"
HOME = "/home/dev"
PROFILES = f"{HOME}/.prefect/profiles.toml"
PYTHON = f"{HOME}/.local/share/encamp/prefect/bin/python"
UNITS = ("prefect-server.service", "prefect-worker-default.service")
ENVS = ("/etc/prefect/default/server.env", "/etc/prefect/default/worker.env")
#: A worker that is refused (401) ends by itself, and systemd starts it again: its restart may not be needed any more.
CONFIGURED = {*(f"File:{env}" for env in ENVS), "Restart:prefect-server.service"}
#: An auth string with every printable letter: quotes, dollars, percents, backslashes, spaces, colons.
HOSTILE = "first user:" + "".join(map(chr, range(0x20, 0x7F))) + "${PATH} %h \\x41 `id` z"
#: An address of the internet. It is put on the loopback device of one lab host, so no packet ever goes there.
GLOBAL = "9.9.9.9"
RULES = """
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iif lo accept
    tcp dport 22 accept
  }
}
"""
FLOW = """\
import sys
from prefect import flow, get_client, task

@task
def double(number):
    return number * 2

@flow(name=sys.argv[1])
def doubled():
    return double(21)

state = doubled(return_state=True)
print(state.state_details.flow_run_id)
"""
#: What a WebSocket of events answers to a token: the events that a client sends, and those it listens to.
SOCKETS = """\
import asyncio, json, sys
import websockets

async def answer(path, token):
    try:
        async with websockets.connect(sys.argv[1] + path, subprotocols=["prefect"]) as socket:
            await socket.send(json.dumps({"type": "auth", "token": token}))
            return json.loads(await asyncio.wait_for(socket.recv(), 10)).get("type")
    except Exception as error:
        return type(error).__name__

async def answers(tokens):
    return [await answer(path, token) for path in ("/events/in", "/events/out") for token in tokens]

print(json.dumps(asyncio.run(answers(json.load(sys.stdin)))))
"""


class Site:
    """The test's own site: one server, and the laptops."""

    def __init__(self, lab: LiveLab, folder: Path) -> None:
        self.lab, self.folder = lab, lab.site(folder)
        hosts = yaml.safe_load((folder / "hosts.yml").read_text("utf-8"))
        groups = hosts["all"]["children"]
        groups["servers"]["hosts"] = {SERVER: groups.pop("spare")["hosts"][SERVER]}
        (folder / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")
        self.set()

    @property
    def url(self) -> str:
        return f"http://{self.lab.address(SERVER)}:4200/api"

    @property
    def secret(self) -> str:
        """The generated auth string, as it is kept on this machine."""
        return f"admin:{(self.folder / 'secrets' / f'{SERVER}+default+api-auth').read_text('utf-8').strip()}"

    def set(self, **settings: Any) -> None:
        """The server's settings from now on."""
        values = {"database": "sqlite", "work_pool": "default", **settings}
        path = self.folder / "host_vars" / f"{SERVER}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(values), "utf-8")

    def fab(self, *arguments: str) -> Fab:
        return self.lab.fab(*arguments, inventory=self.folder)

    def again(self) -> None:
        """A second deploy changes nothing."""
        done = self.fab("deploy")
        succeeded(done)
        assert counts(done, SERVER)["changed"] == 0, done.stdout

    def status(self, path: str = "/admin/version", auth: str = "", source: str = STRANGER, body: str = "") -> int:
        """What the API answers to a host of the lab; 0 when nothing comes back. ``auth`` goes to curl by stdin."""
        options = f"data = {json.dumps(body)}\nheader = Content-Type:application/json\n" if body else ""
        if auth:
            escaped = auth.replace("\\", "\\\\").replace('"', '\\"')
            options += f'user = "{escaped}"\n'
        command = f"curl -s -o /dev/null -w '%{{http_code}}' --max-time 4 -K - {self.url}{path}"
        return int(self.lab.ssh(source, command, check=False, text=options).stdout)

    def flow(self, name: str) -> str:
        """Run a flow as the laptop's user does; the id of its run."""
        self.lab.ssh(CLIENT, "cat > flow.py", text=FLOW)
        return self.lab.ssh(CLIENT, f"{PYTHON} flow.py {name}").stdout.split()[-1]

    def run_of(self, flow_run: str, auth: str) -> tuple[str, int]:
        """A flow run's state and the number of its task runs, as another host reads them from the API."""
        escaped = auth.replace("\\", "\\\\").replace('"', '\\"')
        login = f'user = "{escaped}"\n' if auth else ""
        state = self.lab.ssh(STRANGER, f"curl -sf -K - {self.url}/flow_runs/{flow_run}", text=login).stdout
        query = json.dumps({"flow_runs": {"id": {"any_": [flow_run]}}})
        login += f"data = {json.dumps(query)}\nheader = Content-Type:application/json\n"
        tasks = self.lab.ssh(STRANGER, f"curl -sf -K - {self.url}/task_runs/filter", text=login).stdout
        return json.loads(state)["state_type"], len(json.loads(tasks))


def user_files(lab: LiveLab) -> str:
    """What encamp writes for the laptop's user: the profiles and what an undo needs, with modes and hashes."""
    folders = f"{HOME}/.prefect/profiles.toml {HOME}/.local/state/encamp/profiles-undo.json"
    return lab.ssh(CLIENT, f"stat -c '%n %a %U' {folders}; sha256sum {folders}", check=False).stdout


@pytest.fixture(scope="module")
def open_site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A server without auth, and a laptop that uses it: what is there before anyone thinks of auth."""
    start_copies(lab, {SERVER: SQLITE, CLIENT: PREPARED})
    lab.up(STRANGER)
    site = Site(lab, tmp_path_factory.mktemp("access"))
    succeeded(site.fab("deploy", "--no-verify"))
    succeeded(site.fab("-H", CLIENT, "configure-client", "--install"))
    return site


def test_the_default_on_a_private_network_is_open_and_says_so_nowhere_else(open_site: Site) -> None:
    assert open_site.status() == 200
    assert "AUTH" not in open_site.lab.ssh(CLIENT, f"cat {PROFILES}").stdout
    assert not (open_site.folder / "secrets").exists()


@pytest.fixture(scope="module")
def switched_on(open_site: Site) -> tuple[Site, Fab, Path]:
    """``auth: auto`` on a server that had none: the deploy, and its events."""
    open_site.set(auth="auto")
    looked = open_site.fab("deploy", "--check", "--diff")
    succeeded(looked)
    assert not (open_site.folder / "secrets").exists(), "a check makes no secret"
    assert {f"File:{env}" for env in ENVS} <= changed(looked, "would")
    assert "content contains a secret, diff withheld" in looked.stdout
    events = open_site.folder / "events.jsonl"
    return open_site, open_site.fab("deploy", "--diff", "--json", str(events)), events


@pytest.fixture
def guarded(switched_on: tuple[Site, Fab, Path]) -> Site:
    succeeded(switched_on[1])
    return switched_on[0]


def test_auto_makes_a_secret_and_gives_it_to_server_and_worker(switched_on: tuple[Site, Fab, Path]) -> None:
    site, done, _ = switched_on
    succeeded(done)
    assert changed(done) >= CONFIGURED
    assert "auth of instance default is being enabled: the API refuses clients (401) until `fab configure-client`" in (
        done.stdout
    )
    kept = site.folder / "secrets" / f"{SERVER}+default+api-auth"
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert re.fullmatch(r"admin:[A-Za-z0-9]{32}", site.secret)
    assert re.search(rf"{SERVER}  note     flow run \S+, task run \S+, log line read back .*worker", done.stdout)


def test_the_api_refuses_whoever_has_it_not(guarded: Site) -> None:
    assert guarded.status() == 401
    assert guarded.status("/flow_runs/filter", body="{}") == 401
    assert guarded.status(auth="admin:wrong") == 401
    assert guarded.status(auth=guarded.secret) == 200
    assert guarded.status("/health") == 200, "a probe of a load balancer needs no login"


def test_a_second_deploy_changes_nothing_and_keeps_the_secret(guarded: Site) -> None:
    before = guarded.secret
    guarded.again()
    assert guarded.secret == before


def test_a_laptop_gets_it_by_configure_client(guarded: Site) -> None:
    lab = guarded.lab
    locked_out = lab.ssh(CLIENT, "bash -lc 'prefect flow-run ls'", check=False)
    assert locked_out.returncode != 0 and "401" in locked_out.stdout + locked_out.stderr
    lab.ssh(CLIENT, f"chmod 0644 {PROFILES}")
    done = guarded.fab("-H", CLIENT, "configure-client", "--diff")
    succeeded(done)
    assert guarded.secret.partition(":")[2] not in done.stdout + done.stderr
    profile = lab.host(CLIENT).file(PROFILES)
    assert (profile.mode, profile.user) == (0o600, "dev")
    assert f'PREFECT_API_AUTH_STRING = "{guarded.secret}"' in profile.content_string
    assert guarded.run_of(guarded.flow("guarded"), guarded.secret) == ("COMPLETED", 1)
    again = guarded.fab("-H", CLIENT, "configure-client")
    succeeded(again)
    assert counts(again, CLIENT)["changed"] == 0
    succeeded(guarded.fab("-H", CLIENT, "verify"))


def test_a_script_does_what_the_push_does(guarded: Site) -> None:
    """The user runs it and types the password: the same bytes, the same way back, and a flow that arrives."""
    lab, script, password = guarded.lab, guarded.folder.with_suffix(".pyz"), guarded.secret.partition(":")[2]
    succeeded(guarded.fab("-H", CLIENT, "configure-client", "--undo"))
    before = user_files(lab)
    succeeded(guarded.fab("-H", CLIENT, "configure-client"))
    pushed = user_files(lab)
    succeeded(guarded.fab("-H", CLIENT, "configure-client", "--undo"))
    said = succeeded(guarded.fab("configure-client", "--script", str(script)))
    assert "admin, and the text in" in said and password not in said
    lab.ssh(CLIENT, "base64 -d > client.pyz", text=base64.b64encode(script.read_bytes()).decode())
    done = lab.ssh(CLIENT, "python3 client.pyz", text=f"{password}\n")
    assert "is reachable from this machine" in done.stdout and password not in done.stdout + done.stderr
    assert user_files(lab) == pushed
    assert guarded.run_of(guarded.flow("by-script"), guarded.secret) == ("COMPLETED", 1)
    lab.ssh(CLIENT, "python3 client.pyz --undo")
    assert user_files(lab) == before
    assert lab.ssh(CLIENT, "python3 client.pyz", check=False, text="admin:wrong\n").returncode == 2
    assert user_files(lab) == before


def test_the_commands_do_it_with_prefects_own_cli(guarded: Site) -> None:
    lab = guarded.lab
    said = succeeded(guarded.fab("configure-client", "--commands"))
    typed = [line.strip() for line in said.splitlines() if line.startswith("  prefect ")]
    script = "\n".join(typed).replace("admin:PASSWORD", guarded.secret)
    lab.ssh(CLIENT, "bash -el", text=f"{script}\n")
    assert guarded.run_of(guarded.flow("by-hand"), guarded.secret) == ("COMPLETED", 1)
    succeeded(guarded.fab("-H", CLIENT, "configure-client"))


def test_the_websockets_of_events_ask_for_it_too(guarded: Site) -> None:
    guarded.lab.ssh(CLIENT, "cat > sockets.py", text=SOCKETS)
    url = guarded.url.replace("http", "ws", 1)
    command = f"{PYTHON} sockets.py {url}; rm sockets.py"
    tokens = [None, "admin:wrong", guarded.secret]
    told = json.loads(guarded.lab.ssh(CLIENT, command, text=json.dumps(tokens)).stdout)
    assert [told[2], told[5]] == ["auth_success", "auth_success"]
    assert "auth_success" not in [*told[:2], *told[3:5]], told


def test_the_secret_is_nowhere_else(switched_on: tuple[Site, Fab, Path]) -> None:
    site, done, events = switched_on
    password = site.secret.partition(":")[2]
    assert password not in done.stdout + done.stderr + events.read_text("utf-8")
    for name in (SERVER, CLIENT):
        host = site.lab.host(name)
        host.check_output("journalctl --sync")
        assert password not in host.check_output("journalctl -q -o cat"), "sudo and sshd log every command line"
        assert password not in host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    found = site.lab.host(SERVER).run(f"grep -rlI {password} /etc /var /opt/encamp /tmp /run /root /home").stdout
    assert set(found.split()) == set(ENVS)
    for env, user in zip(ENVS, ("prefect", "prefect-worker"), strict=True):
        file = site.lab.host(SERVER).file(env)
        assert (oct(file.mode), file.user, file.group) == ("0o640", "root", user)


def test_another_controller_does_not_lock_everyone_out(guarded: Site, tmp_path: Path) -> None:
    """A machine without the secret would make a new one: it is refused, before anything is changed."""
    other = Site(guarded.lab, tmp_path / "other")
    other.set(auth="auto")
    refused = other.fab("deploy")
    assert (
        refused.returncode == 2
        and "the generated auth string on the server differs from the one on this machine" in refused.stdout
    )
    assert counts(refused, SERVER)["changed"] == 0
    unknown = Site(guarded.lab, tmp_path / "client")
    unknown.set(auth="auto")
    told = unknown.fab("-H", CLIENT, "configure-client")
    assert told.returncode == 4 and "run `fab deploy` for that server first" in told.stderr
    assert guarded.status(auth=guarded.secret) == 200


def test_an_auth_string_of_ones_own_with_every_letter_and_csrf(guarded: Site) -> None:
    """The worst string there is reaches server, worker and laptop whole; writes need a CSRF token besides."""
    file = guarded.folder / "auth"
    file.write_text(HOSTILE + "\n", "utf-8")
    old = guarded.secret
    guarded.set(auth={"file": str(file)}, csrf=True, cors_allowed_origins=["https://prefect.example.com"])
    done = guarded.fab("deploy")
    succeeded(done)
    assert changed(done) >= CONFIGURED and "auth of instance default changes" in done.stdout
    assert "log line read back" in done.stdout, "the worker's run is the proof"
    assert (guarded.status(auth=old), guarded.status(auth=HOSTILE)) == (401, 200)
    assert guarded.status("/flow_runs/filter", auth=HOSTILE, body="{}") == 403, "no CSRF token"
    succeeded(guarded.fab("-H", CLIENT, "configure-client"))
    run = guarded.flow("hostile")
    assert guarded.lab.ssh(CLIENT, f"bash -lc 'prefect flow-run inspect {run}'").stdout.count("COMPLETED") > 0
    origin = "-H 'Origin: https://elsewhere.example' -D - -o /dev/null"
    headers = guarded.lab.ssh(STRANGER, f"curl -s {origin} {guarded.url}/health").stdout.lower()
    assert "access-control-allow-origin" not in headers
    origin = origin.replace("elsewhere", "prefect").replace("example'", "example.com'")
    headers = guarded.lab.ssh(STRANGER, f"curl -s {origin} {guarded.url}/health").stdout.lower()
    assert "access-control-allow-origin: https://prefect.example.com" in headers
    guarded.again()


def test_switched_off_again(guarded: Site) -> None:
    guarded.set()
    done = guarded.fab("deploy", "--no-verify")
    succeeded(done)
    assert changed(done) >= CONFIGURED
    assert "auth of instance default is being disabled: anyone who can reach the port can use the API" in done.stdout
    assert guarded.status() == 200
    pid = guarded.lab.host(SERVER).check_output(f"systemctl show -p MainPID --value {UNITS[1]}")
    assert "AUTH_STRING" not in guarded.lab.host(SERVER).check_output(f"cat /proc/{pid}/environ | tr '\\0' ' '")
    succeeded(guarded.fab("-H", CLIENT, "configure-client"))
    assert "AUTH" not in guarded.lab.ssh(CLIENT, f"cat {PROFILES}").stdout
    assert guarded.run_of(guarded.flow("off-again"), "") == ("COMPLETED", 1)


@pytest.fixture
def public(guarded: Site) -> Iterator[Site]:
    """The same server with an address of the internet on one of its interfaces, and no auth."""
    guarded.set()
    guarded.lab.host(SERVER).check_output(f"ip address add {GLOBAL}/32 dev lo")
    try:
        yield guarded
    finally:
        guarded.lab.host(SERVER).run(f"ip address del {GLOBAL}/32 dev lo; nft flush ruleset")


def test_a_public_server_without_auth_is_refused_before_anything_changes(public: Site) -> None:
    lab = public.lab
    public.set(server_log_level="INFO")
    before = snapshot(lab, SERVER)
    for settings in ({}, {"allowed_sources": [lab.address(CLIENT)]}):
        public.set(server_log_level="INFO", **settings)
        refused = public.fab("deploy")
        assert refused.returncode == 2 and f"this host has the public address {GLOBAL}" in refused.stdout
        assert "auth: auto" in refused.stdout and "expose_without_auth: true" in refused.stdout
        assert counts(refused, SERVER)["changed"] == 0
    assert "allowed_sources does not protect it" in refused.stdout, "there is no firewall on this host"
    assert snapshot(lab, SERVER) == before
    public.set(expose_without_auth=True)
    public.again()
    public.set(public_url=f"http://{GLOBAL}:4200")
    early = public.fab("deploy")
    assert early.returncode == 4 and re.search(rf"host_vars/{SERVER}\.yml:\d+: .*public address", early.stderr)


def test_sources_that_a_firewall_enforces_are_enough(public: Site) -> None:
    lab = public.lab
    lab.host(SERVER).check_output(f"cat > /etc/nftables.conf <<'END'\n{RULES}\nEND\nnft -f /etc/nftables.conf")
    public.set(allowed_sources=[lab.address(CLIENT)])
    done = public.fab("deploy", "--no-verify")
    succeeded(done)
    assert changed(done) == {"FirewallPort:prefect-default"}
    assert (public.status(source=CLIENT), public.status(source=STRANGER)) == (200, 0)
    public.again()
