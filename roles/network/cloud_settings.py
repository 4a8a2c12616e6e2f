"""What an inventory may say of the cloud that a host is a machine of."""

from __future__ import annotations

import re
from typing import Any, Literal

from encamp.cloud.firewall import PROVIDERS
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import SiteHost
from roles.network import address
from roles.network.address_checks import is_loopback


def _instance_problem(value: Any) -> str | None:
    """What is wrong with an id, or with a name in clouds that go by names, if anything."""
    return None if re.fullmatch(r"[A-Za-z0-9._/-]*", value) else "is neither an id nor a name in a cloud"


@record
class Settings:
    """Cloud."""

    cloud: Literal["none", "aws", "gcp", "azure", "hetzner", "digitalocean"] = setting(
        "none",
        "The cloud that the host is a machine of. aws: encamp opens the server's ports in the security group of the "
        "instance, for allowed_sources (all, if there are none and the API has auth); this needs boto3: "
        "`pip install 'encamp[aws]'`. Others: encamp prints the command that opens them where they do not answer.",
    )
    cloud_ingress: bool = setting(
        True, "Whether encamp makes rules in the cloud's firewall. false: it removes those that it made."
    )
    cloud_security_group: str = setting(
        "",
        "The security group (or firewall) in which rules are made. Empty, with aws: the only one of the instance, or "
        "the one with the tag managed-by=encamp.",
        check=_instance_problem,
        example="sg-0123456789abcdef0",
    )
    cloud_instance: str = setting(
        "",
        "The id of the machine (aws, digitalocean) or its name. Empty, with aws: the instance with the host's address; "
        "else the host's name.",
        check=_instance_problem,
        example="i-0123456789abcdef0",
        per_host=True,
    )
    cloud_region: str = setting(
        "",
        "AWS region, zone of GCP or resource group of Azure. Empty: the one in the environment or profile.",
        check=_instance_problem,
        example="eu-central-1",
    )


def limits_sources(host: SiteHost) -> bool:
    """Whether encamp makes the rules in the firewall before the host, so that allowed_sources holds there."""
    settings = host.settings(Settings)
    return settings.cloud in PROVIDERS and settings.cloud_ingress and not is_private(host)


def is_private(host: SiteHost) -> bool:
    """Whether only the host itself reaches the server, such as a proxy of the operator's own on it."""
    return is_loopback(address.outside(host)[0])
