"""The public address by clouds' metadata, asked over HTTP of services that are as strict as theirs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encamp.agent.system import Host
from roles.network.kinds import public_address
from roles.network.kinds.public_address import CLOUDS, PublicAddress, cloud_of
from tests.checkout import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "tests/lab"))

from metadata import MetadataServer

PUBLIC, PRIVATE = "203.0.113.9", "10.0.0.5"


class CloudHost(Host):
    """This machine, with other files in the places that name a cloud."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files, self.notes = files, list[str]()
        super().__init__(lambda blob: b"", lambda kind, text, *more: self.notes.append(text))

    def read(self, path: str) -> bytes | None:
        return self.files[path].encode() if path in self.files else None


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataServer]:
    """A metadata service where the kind looks for one."""
    server = MetadataServer(("127.0.0.1", 0), PUBLIC)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(public_address, "SERVICE", f"http://127.0.0.1:{server.server_port}")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    yield server
    server.shutdown()
    server.server_close()


def notes(files: dict[str, str], address: str = PRIVATE) -> list[str]:
    host = CloudHost(files)
    assert PublicAddress("default", address, "http://{}:4200", "vm1").check(host) == []
    return host.notes


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.id)
def test_each_cloud_is_asked_as_it_wants(service: MetadataServer, cloud: Any) -> None:
    service.wants_token = cloud.id != "openstack"
    (text,) = notes({public_address.CLOUD_ID: f"{cloud.id}\n"})
    assert cloud.name in text and f"`public_url: http://{PUBLIC}:4200`" in text and "set for vm1" in text


def test_without_a_public_address_nothing_is_proposed(service: MetadataServer) -> None:
    service.public = ""
    for cloud in CLOUDS:
        assert notes({public_address.CLOUD_ID: cloud.id}) == []


def test_what_clients_have_already_is_not_proposed(service: MetadataServer) -> None:
    assert notes({public_address.CLOUD_ID: "aws"}, PUBLIC) == []


@pytest.mark.parametrize(
    ("files", "cloud"),
    [
        ({"sys_vendor": "Amazon EC2\n"}, "AWS"),
        ({"sys_vendor": "Xen\n", "bios_vendor": "Xen\n"}, None),
        ({"sys_vendor": "Xen\n", "bios_version": "4.11.amazon\n"}, "AWS"),
        ({"sys_vendor": "Google\n", "product_name": "Google Compute Engine\n"}, "Google Cloud"),
        ({"sys_vendor": "Microsoft Corporation\n", "product_name": "Surface\n"}, None),
        ({"sys_vendor": "Microsoft Corporation\n", "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77\n"}, "Azure"),
        ({"sys_vendor": "Hetzner\n"}, "Hetzner"),
        ({"sys_vendor": "DigitalOcean\n"}, "DigitalOcean"),
        ({"sys_vendor": "OpenStack Foundation\n"}, "OpenStack"),
        ({"sys_vendor": "LENOVO\n"}, None),
        ({}, None),
    ],
)
def test_a_cloud_is_known_by_its_firmware(files: dict[str, str], cloud: str | None) -> None:
    found = cloud_of(CloudHost({f"{public_address.FIRMWARE}/{name}": text for name, text in files.items()}))
    assert (found.name if found else None) == cloud


def test_cloud_init_counts_more_than_firmware(service: MetadataServer, tmp_path: Path) -> None:
    other = {public_address.CLOUD_ID: "nocloud\n", f"{public_address.FIRMWARE}/sys_vendor": "Amazon EC2\n"}
    assert cloud_of(CloudHost(other)) is None
