"""The commands that open a port in a cloud's firewall, for people: complete, with port, sources and machine."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from encamp.cloud.firewall import Machine
from encamp.resources.firewall.opening import Network
from encamp.shared.record import record

Lines = Callable[["Wish"], "list[list[str]]"]


@record
class Wish:
    """A port of a machine to open to some networks. ``name`` is the rule's."""

    machine: Machine
    name: str
    port: int
    networks: tuple[Network, ...]

    @property
    def instance(self) -> str:
        """The cloud's name of the machine; the inventory's where none is given."""
        return self.machine.instance or self.machine.host

    @property
    def rule(self) -> str:
        return f"encamp-{self.machine.host}-{self.name}".lower().replace(".", "-").replace("_", "-")

    def of_version(self, version: int) -> list[str]:
        return [str(network) for network in self.networks if network.version == version]


def commands(cloud: str, wish: Wish) -> str:
    """A line for each command; capitals stand for what the inventory does not say."""
    return "\n".join(shlex.join(words) for words in CLOUDS[cloud](wish))


def _aws(wish: Wish) -> list[list[str]]:
    machine = wish.machine
    region = ["--region", machine.region] if machine.region else []
    four = [f"{{CidrIp={network}}}" for network in wish.of_version(4)]
    six = [f"{{CidrIpv6={network}}}" for network in wish.of_version(6)]
    ranges = [f"IpRanges=[{','.join(four)}]"] if four else []
    ranges += [f"Ipv6Ranges=[{','.join(six)}]"] if six else []
    permission = ",".join([f"IpProtocol=tcp,FromPort={wish.port},ToPort={wish.port}", *ranges])
    named = ["--group-id", machine.group or "SECURITY_GROUP"]
    allow = ["aws", "ec2", "authorize-security-group-ingress", *region, *named, "--ip-permissions", permission]
    query = "Reservations[].Instances[].[InstanceId,SecurityGroups[].GroupId]"
    chosen = (
        ["--instance-ids", machine.instance]
        if machine.instance
        else ["--filters", f"Name=ip-address,Values={next(iter(machine.addresses), 'ADDRESS')}"]
    )
    look = ["aws", "ec2", "describe-instances", *region, *chosen, "--query", query, "--output", "text"]
    return [allow] if machine.group else [look, allow]


def _gcp(wish: Wish) -> list[list[str]]:
    """A rule holds networks of one version of IP."""
    tag, made = f"encamp-{wish.machine.host}".lower().replace(".", "-").replace("_", "-"), []
    for version, end in ((4, ""), (6, "-ipv6")):
        sources = wish.of_version(version)
        if sources:
            words = ["gcloud", "compute", "firewall-rules", "create", f"{wish.rule}{end}", "--direction=INGRESS"]
            made.append(
                [*words, f"--allow=tcp:{wish.port}", f"--source-ranges={','.join(sources)}", f"--target-tags={tag}"]
            )
    zone = [f"--zone={wish.machine.region}"] if wish.machine.region else []
    return [*made, ["gcloud", "compute", "instances", "add-tags", wish.instance, *zone, f"--tags={tag}"]]


def _azure(wish: Wish) -> list[list[str]]:
    """A rule holds networks of one version of IP, and priorities differ."""
    place = ["--resource-group", wish.machine.region or "RESOURCE_GROUP"]
    made = []
    for version, end, priority in ((4, "", "310"), (6, "-ipv6", "311")):
        sources = wish.of_version(version)
        if sources:
            words = ["az", "network", "nsg", "rule", "create", *place, "--nsg-name", wish.machine.group or "NSG"]
            words += ["--name", f"{wish.rule}{end}", "--priority", priority, "--direction", "Inbound"]
            words += ["--access", "Allow", "--protocol", "Tcp", "--destination-port-ranges", str(wish.port)]
            made.append([*words, "--source-address-prefixes", *sources])
    query = "networkProfile.networkInterfaces[].id"
    look = ["az", "vm", "show", *place, "--name", wish.instance, "--query", query]
    return made if wish.machine.group else [look, *made]


def _hetzner(wish: Wish) -> list[list[str]]:
    sources = [word for network in wish.networks for word in ("--source-ips", str(network))]
    words = ["hcloud", "firewall", "add-rule", wish.machine.group or "FIREWALL", "--direction", "in"]
    add = [*words, "--protocol", "tcp", "--port", str(wish.port), *sources, "--description", wish.rule]
    return [add] if wish.machine.group else [["hcloud", "server", "describe", wish.instance], add]


def _digitalocean(wish: Wish) -> list[list[str]]:
    rules = [f"protocol:tcp,ports:{wish.port},address:{network}" for network in wish.networks]
    words = ["doctl", "compute", "firewall", "add-rules", wish.machine.group or "FIREWALL_ID", "--inbound-rules"]
    add = [*words, " ".join(rules)]
    look = ["doctl", "compute", "firewall", "list-by-droplet", wish.machine.instance or "DROPLET_ID"]
    return [add] if wish.machine.group else [look, add]


#: By the values of the setting ``cloud``.
CLOUDS: dict[str, Lines] = {
    "aws": _aws,
    "gcp": _gcp,
    "azure": _azure,
    "hetzner": _hetzner,
    "digitalocean": _digitalocean,
}
