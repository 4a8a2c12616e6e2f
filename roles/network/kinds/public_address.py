"""The address by which a cloud's machine is known outside, which the machine itself does not have.

The cloud's metadata service is asked, on the host.
"""

from __future__ import annotations

import ipaddress
import json
from typing import ClassVar, Iterator, Mapping, Optional, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import HttpAnswer, Reader, System
from encamp.shared.record import record

#: Link-local, the same in all these clouds (RFC 3927).
SERVICE = "http://169.254.169.254"
SECONDS, TRIES = 1.0, 3
#: What cloud-init writes, and where firmware names the maker of a machine: neither needs the network.
CLOUD_ID, FIRMWARE = "/run/cloud-init/cloud-id", "/sys/class/dmi/id"
MARKS = ("sys_vendor", "bios_vendor", "bios_version", "product_name", "chassis_asset_tag")
TOKEN, TTL, KEY = "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"
IN_JSON = "frontendIpAddress"


@record
class Cloud:
    """How a cloud is known, by cloud-init's ``id`` and by a word of its firmware, and how it is asked.

    ``paths``: the first that names an address counts. ``session``: with a token, fetched first (AWS's IMDSv2).
    """

    name: str
    id: str
    mark: str
    paths: tuple[str, ...]
    headers: tuple[tuple[str, str], ...] = ()
    session: bool = False


CLOUDS = (
    Cloud("AWS", "aws", "amazon", ("/latest/meta-data/public-ipv4",), session=True),
    Cloud(
        "Google Cloud",
        "gce",
        "google",
        ("/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip",),
        (("Metadata-Flavor", "Google"),),
    ),
    Cloud(
        "Azure",
        "azure",
        "7783-7084-3265-9085-8269-3286-77",  # other makers' machines have Microsoft's firmware, too
        (
            "/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress?api-version=2021-02-01&format=text",
            "/metadata/loadbalancer?api-version=2020-10-01",
        ),
        (("Metadata", "true"),),
    ),
    Cloud("Hetzner", "hetzner", "hetzner", ("/hetzner/v1/metadata/public-ipv4",)),
    Cloud(
        "DigitalOcean",
        "digitalocean",
        "digitalocean",
        ("/metadata/v1/reserved_ip/ipv4/ip_address", "/metadata/v1/interfaces/public/0/ipv4/address"),
    ),
    Cloud("OpenStack", "openstack", "openstack", ("/latest/meta-data/public-ipv4",)),
)


@kind
class PublicAddress(Resource):
    """Proposes a ``public_url`` where clients would get a private address and the host's cloud knows a public one.

    ``address`` is the one that clients get now, ``url`` a URL with ``{}`` for another. ``host`` is the name in the
    inventory. A host that is no machine of a known cloud is asked nothing. Never changes anything.
    """

    changes_host: ClassVar[bool] = False

    name: str
    address: str
    url: str
    host: str

    def check(self, host: Reader) -> list[Change]:
        cloud = cloud_of(host)
        found = next(addresses(host, cloud), "") if cloud else ""
        if cloud and found and found != self.address:
            host.note(
                f"clients get the address {self.address}, and {cloud.name} knows this host as {found}; if clients are "
                f"outside, set for {self.host}: `public_url: {self.url.format(found)}` (unless it is a reserved "
                "address, it changes when the machine is stopped)"
            )
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("a proposal never changes a host")


def cloud_of(host: Reader) -> Optional[Cloud]:
    """The cloud that a host is a machine of, without asking the network; None where nothing names one."""
    known = (host.read(CLOUD_ID) or b"").decode("utf-8", "replace").strip()
    marks = [(host.read(f"{FIRMWARE}/{mark}") or b"").decode("utf-8", "replace") for mark in MARKS] if not known else []
    firmware = " ".join(marks).lower()
    return next((cloud for cloud in CLOUDS if cloud.id == known or (firmware and cloud.mark in firmware)), None)


def addresses(host: Reader, cloud: Cloud) -> Iterator[str]:
    """The public addresses that a cloud's metadata names."""
    headers = dict(cloud.headers)
    if cloud.session:
        token = _ask(host, TOKEN, {TTL: "60"}, "PUT")
        if token.status != 200:
            return
        headers[KEY] = token.body.decode("ascii", "replace")
    for path in cloud.paths:
        found = _address(_ask(host, path, headers))
        if found:
            yield found


def _ask(host: Reader, path: str, headers: Mapping[str, str], method: str = "GET") -> HttpAnswer:
    """An answer of the service. Only a machine of a cloud asks: one that is busy may need more than a second."""
    for _ in range(TRIES):
        answer = host.http(method, SERVICE + path, headers=headers, timeout=SECONDS)
        if answer.status:
            break
    return answer


def _address(answer: HttpAnswer) -> str:
    """The address in an answer: its text, or that of Azure's load balancer. Empty for anything else."""
    text = answer.body.decode("utf-8", "replace").strip() if answer.status == 200 else ""
    try:
        if text.startswith("{"):
            text = str(json.loads(text)["loadbalancer"]["publicIpAddresses"][0][IN_JSON])
        return str(ipaddress.ip_address(text))
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
