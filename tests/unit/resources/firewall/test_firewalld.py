"""firewalld's zone files, its running rules, and the record of ours."""

import json

import pytest

from encamp.resources.base import Failure
from encamp.resources.firewall.firewalld import parse_zone
from encamp.resources.firewall.port import FirewallPort
from tests.unit.resources.systemd.double import Answers, show

ZONE = """<?xml version="1.0" encoding="utf-8"?>
<zone>
  <service name="ssh"/>
  <port port="8080" protocol="tcp"/>
  {}
</zone>
"""
RICH = 'rule family="ipv4" source address="10.0.0.0/8" port port="4200" protocol="tcp" accept'
RICH_XML = '<rule family="ipv4"><source address="10.0.0.0/8"/><port port="4200" protocol="tcp"/>{}</rule>'


def host(permanent: str = "", ports: tuple[str, ...] = (), rich: tuple[str, ...] = (), ours: tuple = ()) -> Answers:
    files = {
        "/etc/firewalld/firewalld.conf": "# x\nDefaultZone=public\n",
        "/etc/firewalld/zones/public.xml": ZONE.format(permanent),
    }
    if ours:
        files["/etc/encamp/firewalld/prefect-default.json"] = json.dumps({"rules": ours})
    settings = {"ports": {"data": [port.split("/") for port in ports]}, "rules_str": {"data": list(rich)}}
    answer = json.dumps({"type": "a{sv}", "data": [settings]})
    return Answers(files, {"firewall-cmd": "", "busctl": answer, **show()})


def changes(on: Answers, **fields: object) -> list[str]:
    return [str(change) for change in FirewallPort("prefect-default", **{"port": 4200, **fields}).check(on)]


def test_open_needs_the_permanent_and_the_running_configuration():
    port = '<port port="4200" protocol="tcp"/>'
    assert changes(host()) == [
        "firewalld, permanent: missing -> 4200/tcp from anywhere",
        "firewalld, running: missing -> 4200/tcp from anywhere",
    ]
    assert changes(host(port)) == ["firewalld, running: missing -> 4200/tcp from anywhere"]
    assert changes(host(port, ("4200/tcp",))) == []


def test_sources_are_rich_rules():
    assert changes(host(RICH_XML.format("<accept/>"), (), (RICH,)), sources=("10.0.0.0/8",)) == []


@pytest.mark.parametrize(
    "more", ["<drop/>", '<accept/><log prefix="x"/>', "<accept><limit value='1/m'/></accept><audit/>"]
)
def test_rich_rules_that_do_something_else_are_not_ours(more):
    texts = [rule.text for rule in parse_zone("public", ZONE.format(RICH_XML.format(more)).encode())]
    assert texts == ["8080/tcp"]


def test_only_what_the_record_names_is_removed():
    port = '<port port="4200" protocol="tcp"/>'
    opened = (port, ("4200/tcp",))
    assert changes(host(*opened), ensure="absent") == []
    record = (["public", "port", "4200/tcp"],)
    assert changes(host(*opened, ours=record), ensure="absent") == ["firewalld: remove the old rule 4200/tcp"]
    assert changes(host(*opened, ours=record), port=4300)[0] == "firewalld: remove the old rule 4200/tcp"


def test_a_broken_zone_file_is_told():
    with pytest.raises(Failure, match="not XML"):
        parse_zone("public", b"<zone>")
