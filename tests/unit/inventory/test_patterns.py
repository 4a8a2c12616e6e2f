"""Host patterns. What each selects was compared with Ansible's own answers."""

from __future__ import annotations

import pytest

from encamp.errors import InventoryError
from encamp.inventory.patterns import resolve, split

GROUPS = {
    "all": ["lone", "web1", "web2", "web3", "db1", "db2"],
    "ungrouped": ["lone"],
    "web": ["web1", "web2", "web3"],
    "db": ["db1", "db2"],
    "prod": ["web1", "web2", "db1"],
    "empty": [],
}
HOSTS = GROUPS["all"]


def selected(pattern: str, named: dict[str, str] | None = None) -> list[str]:
    return resolve(pattern, HOSTS, GROUPS, (named or {}).get)


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("web1", ["web1"]),
        ("web1,db1", ["web1", "db1"]),
        ("db1,web1", ["db1", "web1"]),
        ("db:web", ["db1", "db2", "web1", "web2", "web3"]),
        ("web:db1,lone", ["web1", "web2", "web3", "db1", "lone"]),
        ("web:&prod", ["web1", "web2"]),
        ("web,&prod", ["web1", "web2"]),
        ("all:!web", ["lone", "db1", "db2"]),
        ("!web", ["lone", "db1", "db2"]),
        ("!web1:web", ["web2", "web3"]),
        ("web:&prod:!web1", ["web2"]),
        ("&prod", ["web1", "web2", "db1"]),
        ("web*", ["web1", "web2", "web3"]),
        ("*1", ["web1", "db1"]),
        ("*", ["lone", "web1", "web2", "web3", "db1", "db2"]),
        ("web?", ["web1", "web2", "web3"]),
        ("[dw]*1", ["web1", "db1"]),
        ("~web[12]", ["web1", "web2"]),
        ("~(?:web|db)1", ["web1", "db1"]),
        ("~(web|db)[1,2]$", ["web1", "web2", "db1", "db2"]),
        ("!~.*1", ["lone", "web2", "web3", "db2"]),
        ("web[0]", ["web1"]),
        ("web[-1]", ["web3"]),
        ("web[0:1]", ["web1", "web2"]),
        ("web[1:]", ["web2", "web3"]),
        ("web[:1]", ["web1", "web2"]),
        ("web[0:9]", ["web1", "web2", "web3"]),
        ("web[0:1]:db[1]", ["web1", "web2", "db2"]),
        ("all:!web[0]", ["lone", "web2", "web3", "db1", "db2"]),
        ("ungrouped", ["lone"]),
        ("empty", []),
        ("web1,web1", ["web1"]),
        (" web1 , db1 ", ["web1", "db1"]),
    ],
)
def test_patterns(pattern: str, hosts: list[str]) -> None:
    assert sorted(selected(pattern)) == sorted(hosts)
    if "*" not in pattern and "all" not in pattern and not pattern.startswith(("!", "&")):
        assert selected(pattern) == hosts


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("web", ["web"]),
        ("web,node", ["web", "node"]),
        ("web*", ["web", "node"]),
        ("web[1]", ["node"]),
        ("all:!web", ["other"]),
        ("all:&web", ["web", "node"]),
    ],
)
def test_a_name_of_a_host_and_of_a_group(pattern: str, hosts: list[str]) -> None:
    groups = {"all": ["web", "node", "other"], "web": ["web", "node"]}
    assert resolve(pattern, groups["all"], groups, lambda term: None) == hosts


@pytest.mark.parametrize(
    ("pattern", "terms"),
    [
        ("me@vm1:22", ["me@vm1:22"]),
        ("vm1:22,vm2:23", ["vm1:22", "vm2:23"]),
        ("vm1:22:vm2:23", ["vm1:22", "vm2:23"]),
        ("[fe80::1]:22", ["[fe80::1]:22"]),
        ("a:b:c", ["a", "b", "c"]),
        ("fe80::1,!fe80::2", ["fe80::1", "!fe80::2"]),
        ("web[0:2]:&prod", ["web[0:2]", "&prod"]),
    ],
)
def test_colons_that_part_nothing(pattern: str, terms: list[str]) -> None:
    assert split(pattern) == terms


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("wbe", "no host or group wbe"),
        ("web1,wbe", "no host or group wbe"),
        ("web:!wbe", "no host or group wbe"),
        ("web:&wbe", "no host or group wbe"),
        ("cache*", r"no hosts selected: no host or group matches cache\*"),
        ("~cache", "no hosts selected: no host or group matches ~cache"),
        ("@site.retry", "files of hosts are not read: @site.retry"),
        ("web[3]", "past the end: web has 3 hosts"),
        ("~web[", "not a valid regular expression"),
        ("", "empty"),
        (",", "empty"),
        ("web1,!", "'!' matches no host"),
    ],
)
def test_what_names_nothing_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InventoryError, match=message) as caught:
        selected(pattern)
    assert caught.value.fix


def test_an_unknown_term_may_be_accepted_but_not_as_an_exclusion() -> None:
    assert selected("vm9,web1", {"vm9": "vm9"}) == ["vm9", "web1"]
    with pytest.raises(InventoryError):
        selected("web1,!vm9", {"vm9": "vm9"})
