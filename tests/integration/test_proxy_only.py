"""A host that only a proxy leads out of: found in the host's own files, set for the site, and in a worker's way."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from copies import start_copies
from deployed import SQLITE
from live import LiveLab

from tests.integration.looks import Fab, look, succeeded

HOST, PROXY = "vm1", "laptop2"
#: Only the lab's own network is reached; packets to anywhere else are dropped, as a company's firewall does.
CLOSE = """
nft -f - <<'END'
table inet closed {{
  chain output {{
    type filter hook output priority 0;
    ip daddr {{ 127.0.0.0/8, {net}.0/24 }} accept
    ip6 daddr ::1 accept
    drop
  }}
}}
END
"""
#: It forwards for the lab, wants a password, and logs whom it was asked for.
TINYPROXY = """
set -e
apt-get -qq update && apt-get -qq -y install tinyproxy-bin >/dev/null
cat > /etc/tinyproxy.conf <<'END'
User nobody
Group nogroup
Port 3128
Allow {net}.0/24
BasicAuth encamp s3cret
LogFile "/tmp/tinyproxy.log"
LogLevel Connect
END
touch /tmp/tinyproxy.log && chown nobody /tmp/tinyproxy.log
systemd-run --quiet --unit=tinyproxy tinyproxy -d -c /etc/tinyproxy.conf
"""


class Site:
    """The site, whose host's only way out is a proxy on another host."""

    def __init__(self, lab: LiveLab, folder: Path) -> None:
        self.lab, self.folder = lab, lab.site(folder, host_vars={HOST: {"database": "sqlite"}})
        self.url = f"http://encamp:s3cret@{lab.address(PROXY)}:3128"
        lab.host(PROXY).check_output(TINYPROXY.format(net=lab.lab.net))
        lab.host(HOST).check_output("command -v nft || (apt-get -qq update && apt-get -qq -y install nftables)")
        lab.host(HOST).check_output(CLOSE.format(net=lab.lab.net))

    def deploy(self, *workers: dict[str, Any], **more: Any) -> tuple[Fab, float]:
        """Deploy these workers. Returns how that went, and how long it took in seconds."""
        settings = {"database": "sqlite", "workers": [{"system_packages": [], **one} for one in workers], **more}
        (self.folder / "host_vars" / f"{HOST}.yml").write_text(yaml.safe_dump(settings), "utf-8")
        begun = time.monotonic()
        done = self.fab("deploy", "--no-verify")
        return done, time.monotonic() - begun

    def fab(self, *arguments: str) -> Fab:
        return self.lab.fab("-H", HOST, *arguments, inventory=self.folder, env={"TEST_PROXY": self.url}, timeout=600)

    def asked(self) -> str:
        """Whom the proxy was asked for."""
        return str(self.lab.host(PROXY).check_output("cat /tmp/tinyproxy.log"))


@pytest.fixture(scope="module")
def site(lab: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    start_copies(lab, {HOST: SQLITE})
    lab.up(PROXY)
    return Site(lab, tmp_path_factory.mktemp("proxy"))


def test_without_a_proxy_it_fails_soon_with_what_was_seen(site: Site) -> None:
    done, seconds = site.deploy({"pip": True})
    assert done.returncode == 2 and "only a proxy leads out" in done.stdout, done.stdout
    assert re.search(r"what: +https:.*(timed out|name resolution|unreachable)", done.stdout) and seconds < 60, (
        done.stdout
    )


def test_the_proxy_in_the_hosts_own_files_is_used(site: Site) -> None:
    host = site.lab.host(HOST)
    host.check_output(f"echo 'https_proxy={site.url}' >> /etc/environment")
    done, _ = site.deploy({"pip": True})
    succeeded(done)
    assert "CONNECT" in site.asked() and "s3cret" not in done.stdout + done.stderr
    host.check_output("sed -i /_proxy/d /etc/environment")


def test_the_sites_proxy_is_for_workers_too_and_the_server_is_exempt(site: Site) -> None:
    done, _ = site.deploy({"name": "second", "pip": True}, proxy={"env": "TEST_PROXY"})
    succeeded(done)
    host = site.lab.host(HOST)
    pid = host.check_output("systemctl show -p MainPID --value prefect-worker-second")
    variables = host.check_output(f"tr '\\0' '\\n' < /proc/{pid}/environ").splitlines()
    assert f"HTTPS_PROXY={site.url}" in variables
    assert any(line.startswith("NO_PROXY=") and "127.0.0.1" in line for line in variables)
    assert host.file("/etc/prefect/default/worker.env").mode == 0o640
    assert "s3cret" not in host.check_output("cat /etc/systemd/system/prefect-*; journalctl -q -o cat | grep -v fab")


def test_a_proxy_that_swallows_a_workers_calls_is_named(site: Site) -> None:
    host = site.lab.host(HOST)
    host.check_output("sed -i /no_proxy/Id /etc/prefect/default/worker.env && systemctl restart prefect-worker-second")
    found = look(site.fab("doctor"), "proxy")
    assert "FAIL" in found and "add 127.0.0.1 to no_proxy" in found and "s3cret" not in found, found
