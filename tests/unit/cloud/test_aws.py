"""A security group at a server that speaks EC2's API: what encamp adds, shares, removes, and never touches."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from encamp.cloud.ingress import CloudIngress
from encamp.cloud.step import ControllerResource
from encamp.output.listener import Listener
from encamp.output.outcome import Outcome
from encamp.planning import plan, saved_plan_key, saved_plan_steps
from encamp.planning.plan import HostPlan
from encamp.planning.rollout import Mode, Wave
from encamp.resources.files.directory import Directory
from encamp.running.run import Run
from encamp.shared.record import replace
from encamp.transport.agent_exec import Link
from encamp.transport.events import HostEvent
from encamp.transport.launch import LaunchSpec
from encamp.transport.local import LocalLink
from tests.ec2 import Account

STAGE = ("server",)
STEP = "CloudIngress:prefect-default"
SOURCES = ("203.0.113.0/24", "2001:db8::/32")


class HereConnector:
    """The agent on this machine, as its own user."""

    def open(self, host: str) -> Link:
        return LocalLink()

    def launch_spec(self, host: str) -> LaunchSpec:
        return LaunchSpec(host, sys.executable, become=False)


class Events(Listener):
    """Keeps the events of a run."""

    def __init__(self) -> None:
        self.all: list[HostEvent] = []

    def event(self, host: str, event: HostEvent) -> None:
        self.all.append(event)

    @property
    def statuses(self) -> dict[str, str]:
        """How each step ended."""
        return {event["step"]: event["status"] for event in self.all if event["event"] == "step"}

    @property
    def notes(self) -> str:
        return "\n".join(event["text"] for event in self.all if event["event"] == "note")


def door(account: Account, *sources: str, **fields: str) -> CloudIngress:
    """The step of a server's port on the account's instance."""
    made = CloudIngress("prefect-default", "aws", "vm1", (account.address,), 4200, sources, "Prefect API and UI")
    return replace(made, **fields)


def converge(*steps: ControllerResource, folder: Path, check: bool = False) -> tuple[Outcome, Events]:
    """A run of a host that has one step of its own besides those of the controller."""
    return run(plan.build("vm1", [*steps, Directory(str(folder), mode=0o700)]), check)


def run(host_plan: HostPlan, check: bool = False) -> tuple[Outcome, Events]:
    events = Events()
    waves, plans = [Wave("server", {"vm1": STAGE})], {("vm1", STAGE): host_plan}
    return Run("deploy", Mode(check=check), HereConnector(), [events]).converge(waves, plans)[0], events


def test_one_rule_a_source_planned_made_kept_and_removed(account: Account, tmp_path: Path) -> None:
    ssh = account.allow(account.group, "0.0.0.0/0", 22)
    before = account.ingress()
    _, events = converge(door(account, *SOURCES), folder=tmp_path, check=True)
    assert events.statuses[STEP] == "changed" and account.ingress() == before

    outcome, events = converge(door(account, *SOURCES), folder=tmp_path)
    assert (outcome.status, events.statuses[STEP]) == ("ok", "changed")
    ours = [rule for rule in account.ingress() if rule["FromPort"] == 4200]
    assert account.open_to(4200) == set(SOURCES)
    for rule in ours:
        tags = {tag["Key"]: tag["Value"] for tag in rule["Tags"]}
        assert tags == {"managed-by": "encamp", f"encamp:{account.instance}/prefect-default": "vm1"}
        assert rule["Description"] == "Prefect API and UI on vm1 (encamp)"
    starts = [event["number"] for event in events.all if event["event"] == "start"]
    assert starts == [0, 1]
    (done,) = [event for event in events.all if event["event"] == "done"]
    assert sum(done["counts"].values()) == 2

    outcome, events = converge(door(account, *SOURCES), folder=tmp_path)
    assert events.statuses[STEP] == "ok" and outcome.counts["changed"] == 0

    converge(door(account, "198.51.100.0/24", "2001:db8::/32"), folder=tmp_path)
    assert account.open_to(4200) == {"198.51.100.0/24", "2001:db8::/32"}
    assert {rule["SecurityGroupRuleId"] for rule in ours} & {r["SecurityGroupRuleId"] for r in account.ingress()}

    _, events = converge(door(account, ensure="absent"), folder=tmp_path)
    assert events.statuses[STEP] == "changed"
    assert [rule["SecurityGroupRuleId"] for rule in account.ingress()] == [ssh]
    _, events = converge(door(account, ensure="absent"), folder=tmp_path)
    assert events.statuses[STEP] == "ok"


def test_another_port_replaces_the_rule(account: Account, tmp_path: Path) -> None:
    converge(door(account, *SOURCES), folder=tmp_path)
    converge(replace(door(account, *SOURCES), port=443), folder=tmp_path)
    assert (account.open_to(4200), account.open_to(443)) == (set(), set(SOURCES))


@pytest.mark.parametrize(
    ("source", "ports", "protocol"),
    [("203.0.113.0/24", (4200, 4200), "tcp"), ("0.0.0.0/0", (4000, 5000), "tcp"), ("203.0.0.0/16", (0, 0), "-1")],
)
def test_a_rule_of_others_that_lets_a_source_in_counts_as_open(
    account: Account, tmp_path: Path, source: str, ports: tuple[int, int], protocol: str
) -> None:
    rule = account.allow(account.group, source, *ports, protocol=protocol)
    before = account.ingress()
    _, events = converge(door(account, "203.0.113.0/24"), folder=tmp_path)
    assert events.statuses[STEP] == "ok" and account.ingress() == before
    wide = source != "203.0.113.0/24"
    assert (f"port 4200 is also open to {source}, by rule {rule} of {account.group}" in events.notes) == wide
    converge(door(account, ensure="absent"), folder=tmp_path)
    assert account.ingress() == before


def test_an_api_without_auth_that_others_opened_to_all_is_refused(account: Account, tmp_path: Path) -> None:
    rule = account.allow(account.group, "::/0", 0, protocol="-1")
    outcome, _ = converge(replace(door(account, *SOURCES), guarded=False), folder=tmp_path)
    assert outcome.failure is not None and outcome.traffic.execs == 0
    assert f"open to everyone, by rule {rule}" in outcome.failure.reason and "auth: auto" in outcome.failure.fix
    assert account.open_to(4200) == set()


def test_hosts_that_share_a_group_share_its_rules(account: Account, tmp_path: Path) -> None:
    _, address = account.new_instance(account.group)
    first, second = door(account, *SOURCES), door(account, *SOURCES, host="vm2")
    second = replace(second, addresses=(address,))
    converge(first, folder=tmp_path)
    _, events = converge(second, folder=tmp_path)
    assert events.statuses[STEP] == "changed" and len(account.ingress()) == 2
    for one in (first, second):
        assert converge(one, folder=tmp_path)[1].statuses[STEP] == "ok"
    converge(replace(first, ensure="absent"), folder=tmp_path)
    assert account.open_to(4200) == set(SOURCES), "the other host still needs them"
    assert converge(second, folder=tmp_path)[1].statuses[STEP] == "ok"
    converge(replace(second, ensure="absent"), folder=tmp_path)
    assert account.ingress() == []


def test_several_groups_are_listed_and_the_host_is_not_touched(account: Account, tmp_path: Path) -> None:
    other = account.new_group("ssh")
    account.instance, account.address = account.new_instance(account.group, other)
    folder = tmp_path / "not made"
    outcome, _ = converge(door(account, *SOURCES), folder=folder)
    assert outcome.status == "failed" and outcome.failure is not None and outcome.traffic.execs == 0
    assert f"{account.group} (web)" in outcome.failure.reason and f"{other} (ssh)" in outcome.failure.reason
    assert "cloud_security_group" in outcome.failure.fix and not folder.exists()

    converge(door(account, *SOURCES, group=other), folder=tmp_path)
    assert account.open_to(4200, other) == set(SOURCES) and account.open_to(4200) == set()
    converge(door(account, ensure="absent", group=other), folder=tmp_path)
    account.client.create_tags(Resources=[account.group], Tags=[{"Key": "managed-by", "Value": "encamp"}])
    converge(door(account, *SOURCES), folder=tmp_path)
    assert account.open_to(4200) == set(SOURCES)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"addresses": ("192.0.2.99",)}, "no EC2 instance with 192.0.2.99 in eu-central-1"),
        ({"instance": "i-0123456789abcdef0"}, "InvalidInstanceID.NotFound"),
        ({"group": "sg-0123456789abcdef0"}, "its instance is not in sg-0123456789abcdef0"),
        ({"region": "eu-west-1"}, "no EC2 instance with"),
    ],
)
def test_what_the_inventory_says_wrongly_is_named(
    account: Account, tmp_path: Path, fields: dict[str, str], words: str
) -> None:
    outcome, _ = converge(door(account, *SOURCES, **fields), folder=tmp_path)
    assert outcome.failure is not None and words in outcome.failure.reason and "cloud_" in outcome.failure.fix


def test_a_machine_behind_a_jump_host_is_found_by_its_private_address_or_its_id(
    account: Account, tmp_path: Path
) -> None:
    found = account.client.describe_instances(InstanceIds=[account.instance])["Reservations"][0]["Instances"][0]
    for fields in ({"addresses": (found["PrivateIpAddress"],)}, {"addresses": (), "instance": account.instance}):
        outcome, _ = converge(door(account, *SOURCES, **fields), folder=tmp_path)
        assert outcome.status == "ok" and account.open_to(4200) == set(SOURCES)


def test_without_credentials_the_run_goes_on_with_the_command(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    made = tmp_path / "made"
    outcome, events = converge(door(account, *SOURCES), folder=made)
    assert (outcome.status, events.statuses[STEP], made.exists()) == ("ok", "unknown", True)
    assert "aws sts get-caller-identity" in events.notes and f"Values={account.address}" in events.notes
    assert "IpRanges=[{CidrIp=203.0.113.0/24}],Ipv6Ranges=[{CidrIpv6=2001:db8::/32}]" in events.notes


def test_a_saved_plan_holds_the_rules_and_refuses_a_group_that_has_changed(account: Account, tmp_path: Path) -> None:
    key = saved_plan_key.for_making(tmp_path)
    declared = plan.build("vm1", [door(account, *SOURCES), Directory(str(tmp_path), mode=0o700)])
    job = saved_plan_steps.declared(declared, STAGE, key)
    _, events = run(saved_plan_steps.with_plan(declared, "1", key), check=True)
    found = {event["step"]: event for event in events.all if event["event"] == "step"}
    planned = saved_plan_steps.with_findings(job, found)
    assert {step["id"]: step["status"] for step in planned["steps"]}[STEP] == "changed"

    account.allow(account.group, "0.0.0.0/0", 4200)
    outcome, _ = run(saved_plan_steps.with_plan(declared, "1", key, planned))
    assert outcome.status == "moved on" and outcome.traffic.execs == 0 and outcome.failure is not None
    assert f"{STEP}: its change differs from the planned one" in outcome.failure.detail

    by_hand = [rule["SecurityGroupRuleId"] for rule in account.ingress()]
    account.client.revoke_security_group_ingress(GroupId=account.group, SecurityGroupRuleIds=by_hand)
    outcome, _ = run(saved_plan_steps.with_plan(declared, "1", key, planned))
    assert outcome.status == "ok" and account.open_to(4200) == set(SOURCES)
