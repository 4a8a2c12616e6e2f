"""pg_hba.conf: our block in a file of others, and which rule decides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encamp.resources.postgres import hba_file as hba

DEBIAN = b"""# PostgreSQL Client Authentication Configuration File

# DO NOT DISABLE!
# Database administrative login by Unix domain socket
local   all             postgres                                peer

# "local" is for Unix domain socket connections only
local   all             all                                     peer
"""


def rule(connection: str, database: str, user: str, address: str = "", method: str = "peer", *options: str) -> hba.Rule:
    return hba.Rule(
        connection, frozenset([database]), frozenset([user]), hba.network(address), method, frozenset(options)
    )


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("prefect", "prefect"),
        ("a-b.c_d", "a-b.c_d"),
        ("all", '"all"'),
        ("replication", '"replication"'),
        ("two words", '"two words"'),
        ('q"uote', '"q""uote"'),
        ("#x", '"#x"'),
        ("a,b", '"a,b"'),
        ("ünï", '"ünï"'),
        ("+ops", "+ops"),
        ("+op s", '+"op s"'),
    ],
)
def test_tokens(word: str, expected: str) -> None:
    assert hba.token(word) == expected


def test_words_of_postgres_keep_their_meaning_where_they_may() -> None:
    assert hba.token("all", hba.USER_WORDS) == "all"
    assert hba.token("sameuser", hba.USER_WORDS) == '"sameuser"'


def test_the_block_goes_before_the_first_rule_and_its_comment() -> None:
    after = hba.with_rule(DEBIAN, "mine", "local prefect prefect peer").decode()
    head, _, rest = after.partition("# BEGIN encamp")
    assert head == "# PostgreSQL Client Authentication Configuration File\n\n"
    assert rest.partition("# END encamp\n")[2].startswith("# DO NOT DISABLE!\n# Database")


def test_a_rule_is_replaced_in_place_and_others_stay() -> None:
    data = hba.with_rule(DEBIAN, "one", "local a a peer")
    data = hba.with_rule(data, "two", "local b b peer")
    data = hba.with_rule(data, "one", "local c c peer")
    block = hba.parse(data)
    assert list(block.rules.items()) == [("one", b"local c c peer"), ("two", b"local b b peer")]
    lines = data.split(b"\n")
    assert lines[block.numbers["two"] - 1] == b"local b b peer"
    assert b"\n".join(block.foreign) == DEBIAN


def test_a_block_that_is_no_longer_first_is_moved_there() -> None:
    data = b"host all all all reject\n" + hba.with_rule(DEBIAN, "one", "local a a peer")
    after = hba.with_rule(data, "one", "local a a peer")
    assert after.startswith(hba.BEGIN)
    assert b"\n".join(hba.parse(after).foreign) == b"host all all all reject\n" + DEBIAN


@pytest.mark.parametrize("damage", [b"host all all all trust\n# END encamp", b"# note\n# END encamp", b""])
def test_a_damaged_block_is_not_guessed_at(damage: bytes) -> None:
    data = hba.with_rule(DEBIAN, "one", "local a a peer").replace(b"# END encamp", damage)
    with pytest.raises(ValueError, match="line "):
        hba.parse(data)


def test_a_comment_continued_over_a_line_end_is_no_place_for_the_block() -> None:
    data = b"# a comment \\\nlocal that is still comment\nlocal all all peer\n"
    after = hba.with_rule(data, "one", "local a a peer").split(b"\n")
    assert after[:2] == [b"# a comment \\", b"local that is still comment"]
    assert after[2] == hba.BEGIN


FOREIGN_LINES = st.lists(
    st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))
    | st.sampled_from([b"# x", b"local all all peer", b""]),
    max_size=12,
)


@given(FOREIGN_LINES, st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=5))
def test_lines_of_others_survive_byte_for_byte(lines: list[bytes], names: list[str]) -> None:
    data = original = b"\n".join(lines)
    for name in names:
        data = hba.with_rule(data, name, f"local {name} all peer")
    assert b"\n".join(hba.parse(data).foreign) == original
    assert set(hba.parse(data).rules) == set(names)
    assert hba.with_rule(data, names[-1], f"local {names[-1]} all peer") == data


def test_a_row_becomes_a_rule() -> None:
    row: dict[str, Any] = {
        "type": "host",
        "database": ["all"],
        "user_name": ["a", "b"],
        "address": "fe80::",
        "netmask": "ffff:ffff::",
        "auth_method": "md5",
        "options": None,
    }
    found = hba.rule_from_row(row)
    assert found is not None and str(found.address) == "fe80::/32" and found.users == {"a", "b"}
    assert hba.rule_from_row({**row, "type": None}) is None


WANTED = rule("host", "prefect", "prefect", "10.1.0.0/16", "scram-sha-256")


@pytest.mark.parametrize(
    ("found", "effective"),
    [
        (rule("host", "prefect", "prefect", "10.1.0.0/16", "scram-sha-256"), True),
        (rule("host", "all", "all", "10.0.0.0/8", "scram-sha-256"), True),
        (rule("host", "all", "all", "all", "scram-sha-256"), True),
        (rule("host", "all", "all", "10.0.0.0/8", "md5"), False),
        (rule("host", "all", "all", "10.0.0.0/8", "scram-sha-256", "map=x"), False),
        (rule("host", "all", "all", "10.1.1.0/24", "scram-sha-256"), False),
        (rule("hostssl", "all", "all", "10.0.0.0/8", "scram-sha-256"), False),
        (rule("local", "all", "all", "", "scram-sha-256"), False),
        (rule("host", "replication", "all", "10.0.0.0/8", "scram-sha-256"), False),
        (rule("host", "all", "+staff", "10.0.0.0/8", "scram-sha-256"), False),
    ],
)
def test_what_counts_as_in_effect(found: hba.Rule, effective: bool) -> None:
    assert hba.in_effect(WANTED, [found]) is effective


def test_the_first_rule_that_meets_a_connection_decides() -> None:
    reject = rule("host", "all", "all", "10.1.2.0/24", "reject")
    elsewhere = rule("host", "all", "all", "192.168.0.0/16", "reject")
    assert not hba.in_effect(WANTED, [reject, WANTED])
    assert hba.in_effect(WANTED, [elsewhere, WANTED])
    assert hba.in_the_way(WANTED, [elsewhere, reject])
    assert not hba.in_the_way(WANTED, [elsewhere, WANTED])


@pytest.mark.parametrize(
    "other", [rule("host", "sameuser", "all", "samenet"), rule("host", "/^pre", "+x", "db.example")]
)
def test_what_only_a_running_server_can_tell_counts_as_in_the_way(other: hba.Rule) -> None:
    assert hba.in_the_way(WANTED, [other])


def test_all_databases_are_not_replication() -> None:
    wanted = rule("local", "replication", "standby")
    assert not hba.in_effect(wanted, [rule("local", "all", "all")])
    assert hba.in_effect(wanted, [rule("local", "all", "all"), rule("local", "replication", "all")])
