"""https as it is planned: one public_url decides, and contradictions are found before any host is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.errors import SettingsError
from encamp.resources.caddy.sites import CaddySites
from encamp.resources.certificates.ca_bundle import CaBundle
from encamp.resources.files.file import File
from encamp.resources.firewall.port import FirewallPort
from encamp.shared.secret import Secret
from roles.network.kinds.proxy_probe import ProxyProbe
from roles.server.kinds.health import ServerHealth
from tests.unit.roles.network.test_access import HERE, env_of, fleet, one

URL = "public_url: 'https://p.test/flows'"


def test_one_address_decides_everything(tmp_path: Path) -> None:
    _, plan = fleet(tmp_path, f"{HERE}, {URL}, tls: internal", missing="make")
    env = env_of(plan)
    assert "PREFECT_SERVER_UI_API_URL=https://p.test/flows/api\n" in env
    assert "PREFECT_SERVER_UI_SERVE_BASE=/flows\n" in env and "PREFECT_SERVER_API_BASE_PATH=/flows/api\n" in env
    assert "PREFECT_SERVER_API_HOST=127.0.0.1\n" in env
    assert one(plan, ServerHealth).url == "http://127.0.0.1:4200/flows"
    assert one(plan, FirewallPort).port == 443
    text = one(plan, CaddySites).sites["default"]
    assert text.splitlines()[1] == "https://p.test:443 {" and "path /flows /flows/*" in text
    assert one(plan, ProxyProbe).sockets == ("events/in", "events/out")
    file = next(step.resource for step in plan.steps if step.resource.identity.endswith("encamp/default.pem"))
    assert isinstance(file, File) and isinstance(file.content, Secret) and file.mode == 0o640


def test_a_worker_trusts_the_servers_authority(tmp_path: Path) -> None:
    for release, variable in (("3.8.8", False), ("2.20.26", True)):
        version = f"prefect_version: '{release}'"
        _, plan = fleet(
            tmp_path, f"{HERE}, {version}, public_url: 'https://p.test', tls: internal", version, missing="make"
        )
        path = "/etc/encamp/ca/api-vm1-default.pem"
        assert f"PREFECT_API_SSL_CERT_FILE={path}\n" in env_of(plan, "worker.env")
        assert ("SSL_CERT_FILE=/etc/encamp/ca/system.pem\n" in env_of(plan, "worker.env")) is variable
        assert any(
            isinstance(step.resource, CaBundle) and step.resource.name == "api-vm1-default" for step in plan.steps
        )


def test_a_plan_without_the_secret_knows_no_authority_that_others_could_make(tmp_path: Path) -> None:
    from encamp.secrets.store import PLACEHOLDER
    from roles.network.certificate_authority import Authority

    _, plan = fleet(tmp_path, f"{HERE}, {URL}, tls: internal")
    bundles = [step.resource for step in plan.steps if isinstance(step.resource, CaBundle)]
    assert bundles and Authority(PLACEHOLDER, ["p.test"]).certificate not in [one.content for one in bundles]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("tls: internal, public_url: 'http://p.test'", "with tls: internal"),
        ("tls: internal, public_url: 'https://p.test:4200'", "is used by both the server behind the proxy"),
        ("tls: internal, public_url: 'https://p.test', bind: 192.0.2.1", "would allow clients to bypass tls"),
        ("public_url: 'https://p.test/flows', prefect_version: '2.20.26'", "2.20.26 does not support"),
        ("public_url: 'https://p.test/a b'", "its path /a b may contain only"),
        ("public_url: 'https://p{x}.test'", "is not a host name"),
        ("tls: acme, public_url: 'https://198.18.0.7'", "needs a public name"),
        ("tls: acme, public_url: 'https://p.test:8443', tls_redirect: false", "validates the name on port 443 or 80"),
        ("tls: files, public_url: 'https://p.test'", "tls: files needs tls_certificate"),
        ("tls: acme, public_url: 'https://p.test', acme_directory: 'http://ca.test'", "must be an https:// address"),
    ],
)
def test_contradictions(tmp_path: Path, settings: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        fleet(tmp_path, f"{HERE}, {settings}")
    assert told in str(caught.value) and caught.value.fix


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        ("", []),
        ("acme_email: a@p.test", ["tls a@p.test"]),
        ("acme_directory: 'https://ca.test/d'", ["tls {"]),
        ("acme_email: a@p.test, acme_directory: 'https://ca.test/d'", ["tls a@p.test {"]),
    ],
)
def test_acme_says_no_more_than_it_is_told(tmp_path: Path, settings: str, lines: list[str]) -> None:
    """Caddy does not take the directive with nothing behind it."""
    _, plan = fleet(tmp_path, f"{HERE}, public_url: 'https://p.test', tls: acme{settings and ', ' + settings}")
    text = str(one(plan, CaddySites).sites["default"])
    assert [line.strip() for line in text.splitlines() if line.strip().startswith("tls")] == lines
    assert text.count("{") == text.count("}")


def test_instances_behind_one_address_let_in_their_sources_and_the_host_itself(tmp_path: Path) -> None:
    url = "public_url: 'https://p.test/%s'"
    instances = f"{{default: {{{url % 'a'}, allowed_sources: [10.0.0.0/8]}}, b: {{port: 4202, {url % 'b'}}}}}"
    _, plan = fleet(tmp_path, f"{HERE}, tls: internal, instances: {instances}")
    text = str(one(plan, CaddySites).sites["default"])
    assert [line.split() for line in text.splitlines() if "remote_ip" in line] == [
        ["remote_ip", "10.0.0.0/8", "127.0.0.0/8", "::1", "198.18.0.7"]
    ]
