"""Which of a server's ports its cloud opens, for whom; and what is refused before anything is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from encamp.cloud import firewall as providers
from encamp.cloud.ingress import CloudIngress
from encamp.cloud.reach import ReachableFromHere
from encamp.errors import SettingsError
from encamp.inventory.load import load_inventory
from encamp.resources.base import Resource
from encamp.site import Site
from roles import stages, undeploy
from roles.network.kinds.exposure import Exposure

AWS = {"ansible_host": "192.0.2.1", "cloud": "aws", "auth": {"command": ["echo", "ann:secret"]}}
SOURCES = ["198.51.100.0/24", "2001:db8::/32"]
EVERYONE = ["0.0.0.0/0"]
NAME = "https://prefect.example.com"


def site(folder: Path, values: dict[str, Any]) -> Site:
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": {"servers": {"hosts": {"vm1": values}}}}}))
    return Site(load_inventory(folder), [])


def declared(folder: Path, values: dict[str, Any]) -> list[Resource]:
    """All resources of the server's plan."""
    made = site(folder, values)
    host = made.host("vm1")
    items = stages.items(host, made, stages.taking_part(host), prove=False)
    return [getattr(item, "resource", item) for item in items]


def rules(resources: list[Resource]) -> dict[int, list[str]]:
    """The networks that the cloud lets in, by port."""
    found = [one for one in resources if isinstance(one, CloudIngress) and one.ensure == "present"]
    return {rule.port: list(rule.sources) for rule in found}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, {4200: EVERYONE}),
        ({"allowed_sources": SOURCES}, {4200: SOURCES[:1]}),
        ({"allowed_sources": SOURCES, "bind": "::", "public_url": NAME}, {4200: SOURCES[1:]}),
        ({"allowed_sources": SOURCES, "port": 4300}, {4300: SOURCES[:1]}),
        ({"allowed_sources": SOURCES, "tls": "internal", "public_url": NAME}, {443: SOURCES, 80: SOURCES}),
        (
            {"allowed_sources": SOURCES, "tls": "acme", "acme_email": "a@example.com", "public_url": NAME},
            {443: SOURCES, 80: [*EVERYONE, "::/0"]},
        ),
        ({"bind": "127.0.0.1", "public_url": NAME}, {}),
        ({"cloud_ingress": False}, {}),
        ({"cloud": "none"}, {}),
        ({"cloud": "gcp"}, {}),
        ({"auth": "off", "allowed_sources": SOURCES}, {4200: SOURCES[:1]}),
        ({"auth": "off", "expose_without_auth": True}, {4200: EVERYONE}),
    ],
)
def test_the_ports_that_a_deploy_exposes(tmp_path: Path, values: dict[str, Any], wanted: dict[int, list[str]]) -> None:
    assert rules(declared(tmp_path, {**AWS, **values})) == wanted


@pytest.mark.parametrize("sources", [[], EVERYONE])
def test_without_auth_nothing_is_opened_to_all(tmp_path: Path, sources: list[str]) -> None:
    with pytest.raises(SettingsError, match="let everyone reach the API, which has no auth") as caught:
        declared(tmp_path, {**AWS, "auth": "off", "allowed_sources": sources})
    assert caught.value.where is not None and caught.value.where.line > 0 and "allowed_sources" in caught.value.fix


def test_without_boto3_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(providers.PROVIDERS, "aws", ("encamp.cloud.aws", "boto3_that_is_not_installed"))
    with pytest.raises(SettingsError) as caught:
        declared(tmp_path, AWS)
    assert caught.value.fix == "pip install 'encamp[aws]'" and caught.value.where is not None


def test_the_cloud_stands_in_for_a_firewall_on_the_host(tmp_path: Path) -> None:
    given = {**AWS, "auth": "off", "allowed_sources": SOURCES, "public_url": "http://9.9.9.9:4200"}
    assert not [one for one in declared(tmp_path, given) if isinstance(one, Exposure)]
    for other in ({"cloud": "none"}, {"cloud": "hetzner"}, {"cloud_ingress": False}):
        assert [one for one in declared(tmp_path, {**given, **other}) if isinstance(one, Exposure)]


def test_the_cloud_enforces_sources_without_a_firewall_on_the_host(tmp_path: Path) -> None:
    given = {**AWS, "firewall": False, "allowed_sources": SOURCES}
    assert rules(declared(tmp_path, given)) == {4200: SOURCES[:1]}
    for other in ({"cloud": "none"}, {"cloud": "hetzner"}, {"cloud_ingress": False}):
        with pytest.raises(SettingsError, match="no effect with firewall: false") as caught:
            declared(tmp_path, {**given, **other})
        assert caught.value.where is not None


def test_other_clouds_get_a_proof_with_the_command(tmp_path: Path) -> None:
    given = {**AWS, "cloud": "hetzner", "cloud_security_group": "web", "allowed_sources": SOURCES}
    (proof,) = [one for one in declared(tmp_path, given) if isinstance(one, ReachableFromHere)]
    assert (proof.address, proof.port) == ("192.0.2.1", 4200)
    assert proof.by_hand == (
        "hcloud firewall add-rule web --direction in --protocol tcp --port 4200 --source-ips 198.51.100.0/24 "
        "--description encamp-vm1-prefect-default"
    )


def test_undeploy_removes_the_rules_and_only_where_a_cloud_is_set(tmp_path: Path) -> None:
    for values, count in ((AWS, 2), ({**AWS, "cloud": "none"}, 0)):
        items = undeploy.resources(site(tmp_path, values).host("vm1"), "default")
        found = [one for one in items if isinstance(one, CloudIngress)]
        assert [one.ensure for one in found] == ["absent"] * count
