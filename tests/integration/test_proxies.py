"""A proxy of the owner's in front: what it does to requests is found from another host, and a sound one is well."""

from __future__ import annotations

from pathlib import Path

import pytest
from copies import start_copies
from deployed import POSTGRES
from live import LiveLab

from encamp.inventory.load import load_inventory
from encamp.site import Site
from roles.doctor.from_here import Seen, look
from tests.integration import proxies
from tests.integration.looks import counts, succeeded
from tests.integration.proxies import SERVER


@pytest.fixture(scope="module")
def behind(lab: LiveLab) -> LiveLab:
    """A server with nginx before it."""
    start_copies(lab, {SERVER: POSTGRES})
    succeeded(lab.fab("-H", SERVER, "deploy"))
    proxies.install(lab)
    return lab


def seen_at(lab: LiveLab, folder: Path, port: int, path: str = "") -> Seen:
    """What the controller sees where ``public_url`` is an address of the proxy."""
    public = f"http://{lab.address(SERVER)}:{port}{path}"
    loaded = load_inventory(lab.site(folder, host_vars={SERVER: {"public_url": public}}))
    site = Site(loaded, [loaded.hosts[SERVER]])
    return look(site.host(SERVER), site)


def test_a_sound_proxy_is_well(behind: LiveLab, tmp_path: Path) -> None:
    seen = seen_at(behind, tmp_path, proxies.SOUND)
    assert seen.verdict == "well", seen


@pytest.mark.parametrize(
    ("port", "path", "text", "advice"),
    [
        (proxies.STRIPPED, "", "/api/health: HTTP 404", "must end in /api"),
        (proxies.STRIPPED, "/flows", "the UI is missing", "check the proxy's paths"),
        (proxies.TYPES, "", "has the type text/plain, not text/javascript", "with the server's Content-Type"),
        (proxies.ONE_PAGE, "", "has the type text/html, not text/javascript", "pass everything below"),
        (proxies.LOGIN, "", "/api/health: HTTP 401", "PREFECT_API_AUTH_STRING"),
        (proxies.REDIRECT, "", "HTTP 405: POST was redirected to http://", "the address that it redirects to"),
        (proxies.NO_SOCKETS, "", "instead of opening a WebSocket", "Upgrade"),
    ],
)
def test_what_a_proxy_does_wrong_is_seen(
    behind: LiveLab, tmp_path: Path, port: int, path: str, text: str, advice: str
) -> None:
    seen = seen_at(behind, tmp_path, port, path)
    assert seen.verdict == "wrong" and seen.finding, seen
    assert text in seen.finding.text and advice in seen.finding.fix, seen


def test_a_deploy_behind_such_a_proxy_fails(behind: LiveLab, tmp_path: Path) -> None:
    """The server itself is well, and nobody can load its UI at the address that it was given."""
    address = f"http://{behind.address(SERVER)}:{proxies.TYPES}"
    site = behind.site(tmp_path, host_vars={SERVER: {"public_url": address}})
    done = behind.fab("-H", SERVER, "deploy", inventory=site)
    assert done.returncode == 2 and counts(done, SERVER)["failed"] == 0, done.stdout
    assert f"FAILED  {address}/api, as this machine sees it: the UI does not load" in done.stdout
