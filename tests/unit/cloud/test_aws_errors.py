"""What AWS may answer instead: missing rights leave a step to the operator, limits and mistakes end it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from encamp.shared.record import replace
from tests.ec2 import Account, refusing
from tests.unit.cloud.test_aws import SOURCES, STEP, converge, door

ENCODED = "Encoded authorization failure message: 4vXJ9a-secret-looking"


def denied(action: str) -> tuple[str, str]:
    """AWS's words for a caller without a right."""
    said = f"You are not authorized to perform this operation. User: arn:aws:iam::1:user/ann may not ec2:{action}."
    return "UnauthorizedOperation", f"{said} {ENCODED}"


@pytest.mark.parametrize(
    ("action", "place"),
    [
        ("AuthorizeSecurityGroupIngress", "--group-id {group}"),
        ("DescribeInstances", "Name=ip-address,Values={address}"),
        ("DescribeSecurityGroupRules", "authorize-security-group-ingress"),
    ],
)
def test_missing_rights_are_named_with_policy_and_command(
    moto: str, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, place: str
) -> None:
    made = tmp_path / "made"
    with refusing(moto, {action: denied(action)}) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", url)
        _, planned = converge(door(account, *SOURCES), folder=made, check=True)
        outcome, events = converge(door(account, *SOURCES), folder=made)
    assert planned.statuses[STEP] == events.statuses[STEP] == "unknown"
    assert (outcome.status, made.exists(), account.ingress()) == ("ok", True, [])
    assert f"user/ann may not ec2:{action}" in events.notes and "Encoded" not in events.notes
    policy = next(line for line in events.notes.splitlines() if "Statement" in line).partition(": ")[2]
    assert f"ec2:{action}" in json.loads(policy)["Statement"][0]["Action"]
    assert place.format(group=account.group, address=account.address) in events.notes
    assert "aws ec2 authorize-security-group-ingress" in events.notes


@pytest.mark.parametrize("action", ["DescribeInstances", "DescribeSecurityGroupRules"])
def test_an_api_without_auth_needs_a_look_at_its_rules(
    moto: str, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Nobody knows whether everyone may reach it: that is not safe."""
    made, open_api = tmp_path / "made", replace(door(account, *SOURCES), guarded=False)
    with refusing(moto, {action: denied(action)}) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", url)
        planned, _ = converge(open_api, folder=made, check=True)
        outcome, _ = converge(open_api, folder=made)
        removed, events = converge(replace(open_api, ensure="absent"), folder=made)
    for found in (planned, outcome):
        assert found.status == "failed" and found.failure is not None
        assert "may be open to everyone, and the API has no auth" in found.failure.reason
        assert f"ec2:{action}" in found.failure.reason and "auth: auto" in found.failure.fix
    assert outcome.traffic.execs == 0 and account.ingress() == []
    assert (removed.status, events.statuses[STEP]) == ("ok", "unknown"), "there is nothing to expose"


def test_a_rule_that_lets_everyone_in_is_refused_without_the_right_to_add_others(
    moto: str, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.allow(account.group, "0.0.0.0/0", 4200)
    action = "AuthorizeSecurityGroupIngress"
    with refusing(moto, {action: denied(action)}) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", url)
        outcome, _ = converge(replace(door(account, "2001:db8::/32"), guarded=False), folder=tmp_path)
    assert outcome.failure is not None and "is open to everyone, by rule" in outcome.failure.reason


def test_rules_that_must_not_be_removed_are_left_to_the_operator(
    moto: str, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converge(door(account, *SOURCES), folder=tmp_path)
    ids = [rule["SecurityGroupRuleId"] for rule in account.ingress()]
    with refusing(moto, {"RevokeSecurityGroupIngress": denied("RevokeSecurityGroupIngress")}) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", url)
        outcome, events = converge(door(account, ensure="absent"), folder=tmp_path)
    assert outcome.status == "ok" and events.statuses[STEP] == "unknown"
    assert f"aws ec2 revoke-security-group-ingress --group-id {account.group}" in events.notes
    assert all(each in events.notes for each in ids)


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("RulesPerSecurityGroupLimitExceeded", "failed", "fewer, larger networks"),
        ("InvalidParameterValue", "failed", ""),
        ("RequestExpired", "ok", "aws sts get-caller-identity"),
        ("AuthFailure", "ok", "aws sts get-caller-identity"),
    ],
)
def test_other_errors_of_aws(
    moto: str,
    account: Account,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    status: str,
    words: str,
) -> None:
    with refusing(moto, {"AuthorizeSecurityGroupIngress": (code, "said AWS")}) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", url)
        outcome, events = converge(door(account, *SOURCES), folder=tmp_path)
    assert outcome.status == status
    told = f"{outcome.failure.reason} {outcome.failure.fix}" if outcome.failure else events.notes
    assert f"{code}: said AWS" in told and words in told


def test_a_rule_that_another_run_made_meanwhile_is_no_error(
    moto: str, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between look and request the same rule was made: AWS refuses the second, and the step finds the first."""
    from encamp.cloud.firewall import Machine, firewall_of
    from encamp.cloud.rules import Door
    from encamp.resources.firewall.opening import parse_sources

    firewall = firewall_of("aws", Machine("vm1", (account.address,)))
    wanted = Door(f"encamp:{account.instance}/prefect-default", account.group, 4200, parse_sources(SOURCES))
    firewall.add(wanted, wanted.networks, "once")
    firewall.add(wanted, wanted.networks, "twice")
    assert account.open_to(4200) == set(SOURCES)
    assert converge(door(account, *SOURCES), folder=tmp_path)[1].statuses[STEP] == "ok"
