"""https: two instances behind one Caddy with its owner's site, own authority, ACME, certificates of the operator."""

from __future__ import annotations

import base64
import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from copies import start_copies
from deployed import CLIENT as PREPARED
from deployed import SQLITE
from live import LiveLab

from tests.certificates import Issuer
from tests.integration.looks import Fab, counts, curl, succeeded

SERVER, WORKER, LAPTOP = "vm1", "vm2", "laptop1"
CLIENT = ("-H", LAPTOP)
NAME = "prefect.test"
URL = f"https://{NAME}/flows"
CA = "/etc/encamp/ca/api-vm1-default.pem"
OWNERS = """{
	auto_https disable_redirects
}

# The owner's own site.
:8080 {
	respond "the owner's site"
}
"""
ACME_SERVER = """{
	auto_https disable_redirects
	skip_install_trust
}
https://%s {
	tls internal
	acme_server
}
"""
#: Opens each of Prefect's WebSockets as the client library does, and reads an event that it sent itself.
SOCKETS = """
import asyncio
from prefect.events import emit_event
from prefect.events.clients import get_events_client, get_events_subscriber
from prefect.logging.clients import get_logs_subscriber

async def main():
    async with get_logs_subscriber() as logs, get_events_subscriber() as events:
        print("open:", type(logs).__name__, type(events).__name__)
        async with get_events_client() as client:
            print("open:", type(client).__name__)
        emit_event("encamp.test", resource={"prefect.resource.id": "encamp.test"})
        async for event in events:
            if event.event == "encamp.test":
                print("came back:", event.event)
                return

asyncio.run(asyncio.wait_for(main(), 60))
"""

#: Sends bursts of 40 requests through the proxy, 4.99 s apart, and counts the answers by their status.
BURSTS = """
import collections, concurrent.futures, ssl, sys, time, urllib.error, urllib.request

def post(number):
    request = urllib.request.Request(sys.argv[1], b"{}", {"Content-Type": "application/json"}, method="POST")
    try:
        return urllib.request.urlopen(request, context=ssl._create_unverified_context()).status
    except urllib.error.HTTPError as error:
        return error.code

with concurrent.futures.ThreadPoolExecutor(40) as pool:
    seen = collections.Counter(pool.map(post, range(40)))
    for burst in range(int(sys.argv[2])):
        time.sleep(4.99)
        seen.update(pool.map(post, range(40)))
print(dict(seen))
"""


class Site:
    """A site whose server changes its tls settings."""

    def __init__(self, lab: LiveLab, folder: Path) -> None:
        self.lab, self.folder = lab, lab.site(folder)
        hosts = yaml.safe_load((folder / "hosts.yml").read_text("utf-8"))
        hosts["all"]["children"]["workers"] = {"hosts": {WORKER: {"work_pool": "default", "server": "vm1/default"}}}
        hosts["all"]["children"]["servers"]["hosts"][SERVER].pop("public_url")
        (folder / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")

    def declare(self, *, second: bool = False, **settings: Any) -> None:
        """What the server is: at a name with a base path; and by address on another port, if ``second``."""
        address = f"https://{self.lab.address(SERVER)}:8443"
        more = {"second": {"public_url": address, "port": 4202}} if second else {}
        data = {"database": "sqlite", **settings, "instances": {"default": {"public_url": URL}, **more}}
        path = self.folder / "host_vars" / f"{SERVER}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(data), "utf-8")

    def fab(self, *words: str) -> Fab:
        return self.lab.fab(*words, inventory=self.folder)


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    start_copies(lab, {SERVER: SQLITE, LAPTOP: PREPARED})
    lab.up(WORKER)
    for name in (WORKER, LAPTOP):  # not on the server: its own name leads nowhere there
        lab.host(name).check_output(f"echo {lab.address(SERVER)} {NAME} >> /etc/hosts")
    lab.host(SERVER).check_output("apt-get -q update && apt-get -q install -y --no-install-recommends caddy")
    lab.host(SERVER).check_output("printf %s > /etc/caddy/Caddyfile && systemctl reload caddy", OWNERS)
    return Site(lab, tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def deployed(site: Site) -> Fab:
    site.declare(tls="internal", second=True)
    return site.fab("deploy")


@pytest.fixture
def internal(site: Site, deployed: Fab) -> Site:
    succeeded(deployed)
    return site


@pytest.fixture(scope="module")
def client(site: Site, deployed: Fab) -> Site:
    succeeded(deployed)
    succeeded(site.fab(*CLIENT, "configure-client", "--install"))
    return site


def test_server_and_worker_are_proved_over_https(internal: Site, deployed: Fab) -> None:
    assert re.search(rf"{WORKER}  note     flow run \S+, task run \S+, log line read back", deployed.stdout)
    env = internal.lab.host(WORKER).file("/etc/prefect/default/worker.env").content_string
    assert f"PREFECT_API_URL={URL}/api" in env and f"PREFECT_API_SSL_CERT_FILE={CA}" in env
    assert curl(internal.lab, WORKER, f"{URL}/api/health") == "true", "the worker's system does not trust the server"


def test_the_proxy_lets_go_of_idle_connections_before_prefect_does(internal: Site) -> None:
    """A request on a connection that Prefect is just closing, after 5 s, would fail with 502."""
    host, address = internal.lab.host(SERVER), f"https://{internal.lab.address(SERVER)}:8443/api/flow_runs/filter"
    assert host.check_output("python3 -c %s %s 0", BURSTS, address) == "{200: 40}"
    idle = host.check_output("sleep 4.2; ss -Htn state established dport = :4202 | wc -l")
    assert idle == "0", "within 5 s only the proxy closes them"
    assert host.check_output("python3 -c %s %s 2", BURSTS, address) == "{200: 120}"


def test_nobody_goes_around_the_proxy(internal: Site) -> None:
    host = internal.lab.host(SERVER)
    listening = host.check_output("ss -Hltn")
    for port in (4200, 4202):
        assert re.search(rf"127\.0\.0\.1:{port}\b", listening) and not re.search(
            rf"(0\.0\.0\.0|\*):{port}\b", listening
        )
        assert curl(internal.lab, WORKER, f"http://{internal.lab.address(SERVER)}:{port}/api/health") == ""


def test_the_owners_caddy_is_left_as_it_was(internal: Site) -> None:
    host = internal.lab.host(SERVER)
    text = host.file("/etc/caddy/Caddyfile").content_string
    assert text.startswith(OWNERS.rstrip()) and text.count("import /etc/caddy/conf.d/encamp-*.caddy") == 1
    assert curl(internal.lab, WORKER, f"http://{internal.lab.address(SERVER)}:8080/") == "the owner's site"
    assert host.service("caddy").is_running
    journal = host.check_output("journalctl -q -u caddy -o cat")
    assert journal.count("Started caddy.service") == 1, "reloaded, not restarted"


def test_keys_are_for_caddy_alone(internal: Site) -> None:
    host = internal.lab.host(SERVER)
    file = host.file("/etc/caddy/encamp/default.pem")
    assert (file.user, file.group, file.mode) == ("root", "caddy", 0o640)
    assert host.run("runuser -u prefect -- cat /etc/caddy/encamp/default.pem").rc != 0
    secret = internal.folder / "secrets" / "tls-ca"
    assert secret.stat().st_mode & 0o777 == 0o600 and "PRIVATE KEY" not in secret.read_text()


def test_ui_and_api_agree_below_the_base_path(client: Site) -> None:
    lab = client.lab
    told = json.loads(curl(lab, WORKER, f"{URL}/ui-settings"))
    assert told["api_url"] == f"{URL}/api"
    for base in ("/flows", "/flows/v2"):
        page = curl(lab, WORKER, f"https://{NAME}{base}/")
        script = re.search(r'<script[^>]*\ssrc="([^"]+\.js)"', page)
        assert script and script[1].startswith(f"{base}/assets/"), page[:300]
        assert curl(lab, WORKER, f"https://{NAME}{script[1]}", "-o", "/dev/null", "-w", "%{http_code}") == "200"
    moved = curl(lab, WORKER, f"https://{NAME}/", "-o", "/dev/null", "-w", "'%{http_code} %{redirect_url}'")
    assert moved == f"302 {URL}/"
    assert curl(lab, WORKER, f"https://{NAME}/api/health", "-o", "/dev/null", "-w", "%{http_code}") == "404"


def test_an_instance_by_address_on_another_port(internal: Site) -> None:
    address = internal.lab.address(SERVER)
    found = curl(internal.lab, WORKER, f"https://{address}:8443/ui-settings", "--cacert", CA)
    assert json.loads(found)["api_url"] == f"https://{address}:8443/api"


def test_a_laptop_runs_flows_and_opens_every_socket(client: Site) -> None:
    done = client.fab(*CLIENT, "verify")
    assert re.search(r"flow run \S+, task run \S+, log line read back", succeeded(done))
    lab = client.lab
    config = lab.ssh(LAPTOP, "~/.local/bin/prefect config view").stdout
    assert f"PREFECT_API_URL='{URL}/api'" in config and "PREFECT_API_SSL_CERT_FILE='/home/dev/" in config
    said = lab.ssh(LAPTOP, "~/.local/share/encamp/prefect/bin/python -", text=SOCKETS).stdout
    assert "PrefectLogsSubscriber PrefectEventSubscriber" in said and "open: PrefectEventsClient" in said
    assert "came back: encamp.test" in said


def test_a_script_brings_the_sites_authority(client: Site) -> None:
    """The same profile and the same authorities as by a push, and a flow that arrives."""
    lab, script = client.lab, client.folder.with_suffix(".pyz")
    files = "sha256sum ~/.prefect/profiles.toml ~/.local/share/encamp/ca/*-api.pem"
    pushed = lab.ssh(LAPTOP, files).stdout
    succeeded(client.fab(*CLIENT, "configure-client", "--undo"))
    lab.ssh(LAPTOP, "rm ~/.local/share/encamp/ca/*-api.pem")
    succeeded(client.fab("configure-client", "--script", str(script)))
    text = base64.b64encode(script.read_bytes()).decode()
    lab.ssh(LAPTOP, "base64 -d > client.pyz && python3 client.pyz", text=text)
    assert lab.ssh(LAPTOP, files).stdout == pushed
    succeeded(client.fab(*CLIENT, "verify"))


def test_a_second_deploy_changes_nothing(client: Site) -> None:
    done = client.fab("deploy")
    succeeded(done)
    assert [counts(done, name)["changed"] for name in (SERVER, WORKER)] == [0, 0]
    done = client.fab(*CLIENT, "configure-client", "--install")
    succeeded(done)
    assert counts(done, LAPTOP)["changed"] == 0


def test_another_authority_is_refused_before_anything_changes(client: Site) -> None:
    secret = client.folder / "secrets" / "tls-ca"
    kept = secret.read_text()
    try:
        secret.write_text("another-secret-of-thirty-two-letters\n")
        done = client.fab("-H", SERVER, "deploy")
        assert done.returncode == 2 and "issued by another encamp certificate authority" in done.stdout
    finally:
        secret.write_text(kept)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("expired", "ended at 20"),
        ("other-name", "is for elsewhere.test, not for prefect.test"),
        ("other-key", "certificate and key do not match"),
        ("order", "certificate 2 in the file did not sign certificate 1"),
    ],
)
def test_a_certificate_that_cannot_work_is_refused_and_no_host_touched(
    site: Site, tmp_path: Path, what: str, told: str
) -> None:
    issuer, other = Issuer("company"), Issuer("other")
    past = datetime.timedelta(days=-2) if what == "expired" else datetime.timedelta(days=30)
    chain, key = issuer.leaf("elsewhere.test" if what == "other-name" else NAME, past)
    chain += other.pem if what == "order" else ""
    key = other.leaf(NAME)[1] if what == "other-key" else key
    (tmp_path / "chain.pem").write_text(chain)
    (tmp_path / "key.pem").write_text(key)
    before = site.lab.ssh_sessions(SERVER)
    site.declare(tls="files", tls_certificate=str(tmp_path / "chain.pem"), tls_key={"file": str(tmp_path / "key.pem")})
    done = site.fab("-H", SERVER, "deploy")
    assert done.returncode == 4 and told in done.stdout + done.stderr, done.stdout + done.stderr
    assert site.lab.ssh_sessions(SERVER) == before and "PRIVATE" not in done.stdout + done.stderr


def test_certificates_of_the_operator(internal: Site, tmp_path: Path) -> None:
    """The second instance goes, and with it its site: what is declared no more is served no more."""
    issuer = Issuer("company")
    chain, key = issuer.leaf(NAME)
    (tmp_path / "chain.pem").write_text(chain + issuer.pem)
    (tmp_path / "key.pem").write_text(key)
    internal.declare(tls="files", tls_certificate=str(tmp_path / "chain.pem"), tls_key=str(tmp_path / "key.pem"))
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(internal.lab.lab.ca_bundle.read_text() + issuer.pem)
    words = ("-H", SERVER, "deploy", "--set", f"ca_bundle={bundle}")
    succeeded(internal.fab(*words))
    assert served_by(internal.lab, NAME) == "company"
    assert not internal.lab.host(SERVER).file("/etc/caddy/conf.d/encamp-second.caddy").exists
    done = internal.fab(*words)
    succeeded(done)
    assert counts(done, SERVER)["changed"] == 0


def test_certificates_by_acme(internal: Site, tmp_path: Path) -> None:
    """Caddy on another host is the ACME server: it looks at this host by its name before it signs."""
    lab, address = internal.lab, internal.lab.address(WORKER)
    other = lab.host(WORKER)
    other.check_output("apt-get -q update && apt-get -q install -y --no-install-recommends caddy")
    other.check_output("printf %s > /etc/caddy/Caddyfile && systemctl restart caddy", ACME_SERVER % address)
    root = tmp_path / "root.pem"
    root.write_text(other.check_output("cat /var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"))
    directory = f"https://{address}/acme/local/directory"
    internal.declare(tls="acme", acme_directory=directory, acme_ca_root=str(root), acme_email="ops@example.com")
    succeeded(internal.fab("-H", SERVER, "deploy"))
    assert served_by(lab, NAME).startswith("Caddy Local Authority")
    done = internal.fab("deploy")
    succeeded(done)
    assert counts(done, SERVER)["changed"] == 0
    succeeded(internal.fab(*CLIENT, "configure-client"))
    assert "log line read back" in succeeded(internal.fab(*CLIENT, "verify"))


def served_by(lab: LiveLab, name: str) -> str:
    """The common name of the authority whose certificate the server shows for a name."""
    command = f"openssl s_client -connect {lab.address(SERVER)}:443 -servername {name} </dev/null 2>/dev/null"
    text = lab.host(SERVER).check_output(f"{command} | openssl x509 -noout -issuer -nameopt multiline")
    found = re.search(r"commonName\s*= (.*)", text)
    assert found, text
    return found[1]
