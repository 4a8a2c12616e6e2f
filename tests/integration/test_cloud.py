"""A server that poses as a cloud's machine: its security group (at a server that speaks EC2's API), and a firewall
before it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from copies import start_copies
from deployed import SQLITE
from live import LiveLab

from tests.checkout import CHECKOUT
from tests.ec2 import Account, ec2_server, variables
from tests.integration.faults import FAILED
from tests.integration.looks import Fab, changed, counts, look, succeeded

SERVER, GATEWAY = "vm1", "new1"
RULE, PROOF = "CloudIngress:prefect-default", "ReachableFromHere:prefect-default"
#: The metadata service of a cloud's machine, what it was asked, and the address that it names.
METADATA, ASKED, PUBLIC = "169.254.169.254", "/root/asked", "203.0.113.9"
SOURCES = ["198.18.0.0/15", "2001:db8::/32"]
DROP = "add table inet closed; add chain inet closed input {{ type filter hook input priority -50; }}; add rule {rule}"


@pytest.fixture(scope="module")
def ec2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ec2_server(tmp_path_factory.mktemp("ec2")) as url:
        yield url


@pytest.fixture(scope="module")
def account(ec2: str) -> Account:
    return Account(ec2)


@pytest.fixture(scope="module")
def site(lab: LiveLab, account: Account, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server of SQLite on a copy, whose instance is known by its id: no cloud has the lab's addresses."""
    start_copies(lab, {SERVER: SQLITE})
    _serve_metadata(lab)
    lab.up(GATEWAY)
    cloud = {"cloud": "aws", "cloud_instance": account.instance, "allowed_sources": SOURCES}
    private = {"ansible_host": lab.address(SERVER), "ansible_port": 22, "public_url": ""}
    return lab.site(tmp_path_factory.mktemp("cloud"), host_vars={SERVER: {"database": "sqlite", **private, **cloud}})


def _serve_metadata(lab: LiveLab) -> None:
    """Make the host a machine of AWS as far as it can see: cloud-init's word, and a metadata service that insists on
    its token, at the link-local address."""
    host, program = lab.host(SERVER), (CHECKOUT / "tests/lab/metadata.py").read_text("utf-8")
    host.check_output("mkdir -p /run/cloud-init && echo aws > /run/cloud-init/cloud-id")
    host.check_output(f"ip address add {METADATA}/32 dev lo && cat > /root/metadata.py <<'END'\n{program}\nEND")
    log = f"-p StandardOutput=append:{ASKED}"
    host.check_output(f"systemd-run -q --unit=metadata {log} python3 /root/metadata.py {METADATA} 80 {PUBLIC}")
    host.check_output(f"timeout 60 sh -c 'until curl -s -o /dev/null http://{METADATA}/; do sleep 0.2; done'")
    refused = host.check_output(
        f"curl -s -o /dev/null -w '%{{http_code}}' http://{METADATA}/latest/meta-data/public-ipv4"
    )
    assert refused == "401", "the service is as strict as IMDSv2"


@pytest.fixture(scope="module")
def applied(
    lab: LiveLab, ec2: str, account: Account, site: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[set[str], Fab]:
    """A deploy by a saved plan: the steps that it was to change, and what applying it printed."""
    lab.host(SERVER).check_output("chmod 0777 /var/lib/prefect/default")  # to be put right: a change on the host
    file = tmp_path_factory.mktemp("plan") / "plan.json"
    planning = ("-H", SERVER, "deploy", "--no-verify", "--plan", str(file))
    succeeded(lab.fab(*planning, inventory=site, env=variables(ec2)))
    steps = [step for job in json.loads(file.read_text("utf-8"))["hosts"] for step in job["steps"]]
    assert account.ingress() == [], "making a plan changes nothing"
    done = lab.fab("deploy", "--apply", str(file), inventory=site, env=variables(ec2))
    succeeded(done)
    return {step["id"] for step in steps if step["status"] == "changed"}, done


def test_a_saved_plan_opens_the_security_group(account: Account, applied: tuple[set[str], Fab]) -> None:
    planned, done = applied
    assert RULE in planned and RULE in changed(done)
    assert account.open_to(4200) == {SOURCES[0]}, "the server listens with IPv4 only"
    assert "unknown" not in counts(done, SERVER)
    assert PROOF not in done.stdout, "the controller reached the server"


def asked(lab: LiveLab) -> list[tuple[str, str]]:
    """What the metadata service was asked, each with the status of the answer."""
    return re.findall(r'"(\S+ \S+) HTTP/1.1" (\d+)', lab.host(SERVER).file(ASKED).content_string)


def test_the_public_address_is_proposed_by_the_clouds_metadata(
    lab: LiveLab, site: Path, applied: tuple[set[str], Fab]
) -> None:
    assert f"set for {SERVER}: `public_url: http://{PUBLIC}:4200`" in applied[1].stdout, applied[1].stdout
    assert tuple(asked(lab)[-2:]) == (("PUT /latest/api/token", "200"), ("GET /latest/meta-data/public-ipv4", "200"))
    env = lab.host(SERVER).file("/etc/prefect/default/server.env").content_string
    assert PUBLIC not in env and lab.address(SERVER) in env, "proposed, and not set"


def test_a_second_deploy_changes_nothing_in_one_exec(
    lab: LiveLab, ec2: str, site: Path, applied: tuple[set[str], Fab]
) -> None:
    before = asked(lab)
    again = lab.fab("-H", SERVER, "deploy", inventory=site, env=variables(ec2))
    succeeded(again)
    assert (counts(again, SERVER)["changed"], counts(again, SERVER)["execs"]) == (0, 1)
    assert asked(lab) == before


def test_without_rights_the_run_goes_on_and_names_policy_and_command(
    lab: LiveLab, ec2: str, site: Path, applied: tuple[set[str], Fab], tmp_path: Path
) -> None:
    """Not so for an API without auth: nobody knows then who may reach it."""
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path)}
    environment = {**variables(ec2), **nobody}
    done = lab.fab("-H", SERVER, "deploy", inventory=site, env=environment)
    assert done.returncode == FAILED and "may be open to everyone, and the API has no auth" in done.stdout
    assert counts(done, SERVER)["execs"] == 0
    meant = ("--set", "expose_without_auth=true")
    done = lab.fab("-H", SERVER, "deploy", *meant, inventory=site, env=environment)
    succeeded(done)
    assert counts(done, SERVER)["unknown"] == 1 and "aws ec2 authorize-security-group-ingress" in done.stdout


def doctor(lab: LiveLab, ec2: str, site: Path, *options: str) -> str:
    """What the doctor's look from outside told."""
    return look(lab.fab("-H", SERVER, "doctor", *options, inventory=site, env=variables(ec2)), "outside")


def closed(lab: LiveLab, host: str, rule: str) -> None:
    lab.host(host).check_output("nft %s", DROP.format(rule=rule))


def test_the_doctor_tells_a_firewall_before_the_host_from_the_hosts_own(
    lab: LiveLab, ec2: str, site: Path, applied: tuple[set[str], Fab]
) -> None:
    assert "  ok  " in doctor(lab, ec2, site)

    closed(lab, GATEWAY, "inet closed input tcp dport 4200 drop")
    before = doctor(lab, ec2, site, "--set", f"public_url=http://{lab.address(GATEWAY)}:4200")
    assert "no packet of it arrived here" in before and "dropped before this host" in before

    closed(lab, SERVER, "inet closed input tcp dport 4200 drop")
    here = doctor(lab, ec2, site)
    assert re.search(r"[1-9] packets arrived here", here) and "nftables table inet closed, chain input" in here
    assert "dropped before this host" not in here and "nft list ruleset" in here

    lab.host(SERVER).check_output("nft flush chain inet closed input")
    lab.host(SERVER).check_output("nft add rule inet closed input tcp dport 4200 reject with tcp reset")
    assert "this host rejects it: nftables table inet closed, chain input" in doctor(lab, ec2, site)
    lab.host(SERVER).check_output("nft delete table inet closed")


def test_undeploy_closes_the_group_and_leaves_rules_of_others(
    lab: LiveLab, ec2: str, account: Account, site: Path, applied: tuple[set[str], Fab]
) -> None:
    ssh = account.allow(account.group, "0.0.0.0/0", 22)
    succeeded(lab.fab("-H", SERVER, "undeploy", inventory=site, env=variables(ec2)))
    assert [rule["SecurityGroupRuleId"] for rule in account.ingress()] == [ssh]
