"""Ranges in the names of hosts, as Ansible expands them."""

from __future__ import annotations

import pytest

from encamp.inventory.ranges import LIMIT, expand


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("web[01:03]", ["web01", "web02", "web03"]),
        ("db-[a:c].x", ["db-a.x", "db-b.x", "db-c.x"]),
        ("n[0:10:5]", ["n0", "n5", "n10"]),
        ("r[1:2]n[a:b]", ["r1na", "r1nb", "r2na", "r2nb"]),
        ("w[:2]", ["w0", "w1", "w2"]),
        ("w[8:11]", ["w8", "w9", "w10", "w11"]),
        ("plain", ["plain"]),
        ("[fe80::1]", ["[fe80::1]"]),
    ],
)
def test_ranges(name: str, hosts: list[str]) -> None:
    assert expand(name) == hosts


@pytest.mark.parametrize("name", ["w[2:1]", "w[1:]", "w[01:100]", "w[a:1]", "w[1:3:0]", "w[1:2:3:4]x", "w[0:99999999]"])
def test_bad_ranges(name: str) -> None:
    with pytest.raises(ValueError):
        expand(name)


def test_a_range_may_have_as_many_hosts_as_the_limit() -> None:
    assert len(expand(f"w[1:{LIMIT}]")) == LIMIT
