"""The security group of an EC2 instance. Needs boto3 (``pip install 'encamp[aws]'``), whose own chain finds
credentials and region."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from encamp.cloud.aws_errors import explained
from encamp.cloud.firewall import Machine
from encamp.cloud.rules import Door, Rule
from encamp.resources.base import Refused
from encamp.resources.firewall.opening import Network
from encamp.shared.record import record, replace

MARK = "encamp:"
MANAGED = {"Key": "managed-by", "Value": "encamp"}
ALL_PORTS = (0, 65535)
#: The states of an instance that can be deployed to.
ALIVE = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
#: Letters that AWS takes in the description of a rule, and how many of them.
NOT_DESCRIBABLE, LONGEST = re.compile(r"[^a-zA-Z0-9. _:/()#,@\[\]+=&;{}!$*-]"), 255


def find(machine: Machine) -> SecurityGroup:
    """The group in which rules for an instance are made. Raises Undecided, Refused, Failure."""
    with explained():
        client = _client(machine.region)
        instance = _instance(client, machine)
        attached = _attached(instance)
        chosen = _chosen(client, machine, attached)
    return SecurityGroup(client, replace(machine, instance=instance["InstanceId"], group=chosen), tuple(attached))


def _client(region: str) -> Any:
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 4, "mode": "standard"})
    return boto3.session.Session().client("ec2", region_name=region or None, config=limits)


def _instance(client: Any, machine: Machine) -> Any:
    """The one that the inventory names, or the only one with an address of the host."""
    if machine.instance:
        return _instances(client, InstanceIds=[machine.instance])[0]
    for name, value in _filters(machine.addresses):
        found = _instances(client, Filters=[{"Name": name, "Values": [value]}, ALIVE])
        if len(found) == 1:
            return found[0]
        if found:
            known = ", ".join(instance["InstanceId"] for instance in found)
            raise Refused(f"{machine.host}: several instances have the address {value}: {known}", "", SAY_WHICH)
    where = ", ".join(machine.addresses) or "no address"
    raise Refused(f"{machine.host}: no EC2 instance with {where} in {client.meta.region_name}", "", SAY_WHICH)


SAY_WHICH = "set cloud_instance: and cloud_region: (on the host: `cat /var/lib/cloud/data/instance-id`)"


def _instances(client: Any, **chosen: Any) -> list[Any]:
    pages = client.get_paginator("describe_instances").paginate(**chosen)
    return [instance for page in pages for group in page["Reservations"] for instance in group["Instances"]]


def _filters(addresses: Sequence[str]) -> list[tuple[str, str]]:
    """Where an address may stand in the description of an instance."""
    filters = []
    for address in addresses:
        try:
            version = ipaddress.ip_address(address).version
        except ValueError:
            filters += [("dns-name", address), ("private-dns-name", address)]
            continue
        six = [("network-interface.ipv6-addresses.ipv6-address", address)]
        filters += six if version == 6 else [("ip-address", address), ("private-ip-address", address)]
    return filters


def _attached(instance: Any) -> dict[str, str]:
    """The groups of all its interfaces, each with its name."""
    groups = [*instance.get("SecurityGroups", ())]
    for interface in instance.get("NetworkInterfaces", ()):
        groups += interface.get("Groups", ())
    return {group["GroupId"]: group["GroupName"] for group in groups}


def _chosen(client: Any, machine: Machine, attached: dict[str, str]) -> str:
    """The group that the inventory names, the one that is tagged as encamp's, or the only one."""
    listed = ", ".join(f"{group} ({name})" for group, name in attached.items())
    if machine.group and machine.group not in attached:
        reason = f"{machine.host}: its instance is not in {machine.group}, so that a rule there has no effect"
        raise Refused(reason, f"its security groups: {listed}", "correct cloud_security_group:")
    if machine.group or len(attached) == 1:
        return machine.group or next(iter(attached))
    wanted = [{"Name": "group-id", "Values": list(attached)}, {"Name": "tag:managed-by", "Values": ["encamp"]}]
    tagged = [group["GroupId"] for group in client.describe_security_groups(Filters=wanted)["SecurityGroups"]]
    if len(tagged) != 1:
        reason = f"{machine.host}: its instance has several security groups: {listed}"
        raise Refused(reason, "", "choose one: cloud_security_group: (or tag one with managed-by=encamp)")
    return str(tagged[0])


@record
class SecurityGroup:
    """Implements CloudFirewall. ``attached`` are all groups of the instance."""

    client: Any
    machine: Machine
    attached: tuple[str, ...]

    def rules(self) -> list[Rule]:
        with explained():
            chosen = {"Filters": [{"Name": "group-id", "Values": list(self.attached)}]}
            pages = self.client.get_paginator("describe_security_group_rules").paginate(**chosen)
            found = [rule for page in pages for rule in page["SecurityGroupRules"]]
        return [rule for data in found if not data.get("IsEgress") for rule in _rule(data)]

    def may_add(self, door: Door, networks: Sequence[Network], purpose: str) -> None:
        """AWS answers a request on trial with the error ``DryRunOperation`` where it would carry it out."""
        from botocore.exceptions import ClientError

        with explained():
            try:
                self._authorize(door, networks, purpose, trial=True)
            except ClientError as error:
                if error.response["Error"]["Code"] != "DryRunOperation":
                    raise

    def add(self, door: Door, networks: Sequence[Network], purpose: str) -> None:
        """A rule that another run made meanwhile is found when the step checks again."""
        from botocore.exceptions import ClientError

        with explained():
            try:
                self._authorize(door, networks, purpose)
            except ClientError as error:
                if error.response["Error"]["Code"] != "InvalidPermission.Duplicate":
                    raise

    def _authorize(self, door: Door, networks: Sequence[Network], purpose: str, trial: bool = False) -> None:
        described = NOT_DESCRIBABLE.sub("-", purpose)[:LONGEST]
        permission: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": door.port, "ToPort": door.port}
        four = [{"CidrIp": str(n), "Description": described} for n in networks if n.version == 4]
        six = [{"CidrIpv6": str(n), "Description": described} for n in networks if n.version == 6]
        permission |= {"IpRanges": four} if four else {}
        permission |= {"Ipv6Ranges": six} if six else {}
        tags = [{"ResourceType": "security-group-rule", "Tags": [MANAGED, self._mark(door)]}]
        self.client.authorize_security_group_ingress(
            GroupId=door.group, IpPermissions=[permission], TagSpecifications=tags, DryRun=trial
        )

    def share(self, door: Door, rules: Sequence[Rule]) -> None:
        ids = [rule.id for rule in rules]
        with explained(f"aws ec2 create-tags --resources {' '.join(ids)} --tags Key={door.owner}"):
            self.client.create_tags(Resources=ids, Tags=[self._mark(door)])

    def drop(self, door: Door, rules: Sequence[Rule]) -> None:
        shared = [rule.id for rule in rules if len(rule.owners) > 1]
        if shared:
            with explained(f"aws ec2 delete-tags --resources {' '.join(shared)} --tags Key={door.owner}"):
                self.client.delete_tags(Resources=shared, Tags=[{"Key": door.owner}])
        for group in {rule.group for rule in rules if rule.id not in shared}:
            ids = [rule.id for rule in rules if rule.group == group and rule.id not in shared]
            named = f"--group-id {group} --security-group-rule-ids {' '.join(ids)}"
            with explained(f"aws ec2 revoke-security-group-ingress {named}"):
                self.client.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=ids)

    def _mark(self, door: Door) -> dict[str, str]:
        """The tag that says for whom a rule is: a rule may be for several hosts that share a group."""
        return {"Key": door.owner, "Value": self.machine.host}


def _rule(data: Any) -> list[Rule]:
    """A rule for TCP from a network; nothing for other protocols, and for groups and prefix lists as sources."""
    source = data.get("CidrIpv4") or data.get("CidrIpv6")
    if not source or data["IpProtocol"] not in ("tcp", "6", "-1"):
        return []
    first, last = (data["FromPort"], data["ToPort"]) if data["IpProtocol"] != "-1" else ALL_PORTS
    owners = tuple(tag["Key"] for tag in data.get("Tags", ()) if tag["Key"].startswith(MARK))
    network = ipaddress.ip_network(source, strict=False)
    only_tcp = data["IpProtocol"] != "-1"
    return [Rule(data["SecurityGroupRuleId"], data["GroupId"], network, first, last, only_tcp, owners)]
