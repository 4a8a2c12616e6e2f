"""Commands for people: complete, and each cloud's own."""

from __future__ import annotations

import shlex

import pytest

from encamp.cloud.by_hand import CLOUDS, Wish, commands
from encamp.cloud.firewall import Machine
from encamp.resources.firewall.opening import parse_sources

NETWORKS = parse_sources(("198.51.100.0/24", "203.0.113.7", "2001:db8::/32"))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_port_sources_and_machine_are_filled_in(cloud: str) -> None:
    machine = Machine("vm_1.example", ("203.0.113.9",), "machine-1", "group-1", "place-1")
    text = commands(cloud, Wish(machine, "prefect-default", 4200, NETWORKS))
    words = [word for line in text.splitlines() for word in shlex.split(line)]
    joined = " ".join(words)
    assert all(str(network) in joined for network in NETWORKS) and "4200" in joined
    assert not [word for word in words if word.isupper() and len(word) > 2], "nothing is left to fill in"
    assert {"gcp": "machine-1", "azure": "place-1"}.get(cloud, "group-1") in joined


@pytest.mark.parametrize(("cloud", "count"), [("gcp", 3), ("azure", 2)])
def test_rules_of_one_version_of_ip_each(cloud: str, count: int) -> None:
    machine = Machine("vm1", (), "machine-1", "group-1", "place-1")
    lines = commands(cloud, Wish(machine, "prefect-default", 4200, NETWORKS)).splitlines()
    assert len(lines) == count and not [line for line in lines if "198.51.100.0/24" in line and "2001:db8" in line]


@pytest.mark.parametrize("cloud", sorted(set(CLOUDS) - {"gcp"}))
def test_without_a_firewall_the_first_command_shows_it(cloud: str) -> None:
    lines = commands(cloud, Wish(Machine("vm1"), "prefect-default", 4200, NETWORKS)).splitlines()
    assert len(lines) > 1 and any(word.isupper() for word in lines[-1].replace("=", " ").split())
