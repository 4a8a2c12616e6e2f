"""profile_edit: what is asked for is there, and nothing else moved."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roles.client.kinds.profile.edit import Edit, InvalidToml, edited, plain, quoted, read

tomllib = pytest.importorskip("tomllib")  # Python 3.11; another parser than the one under test

FILE = """\
# of mine
active = "dev" # the one

[profiles.dev]   # at work
PREFECT_API_URL = "http://dev/api"   # keep
PREFECT_DEBUG_MODE = true

# the real one
[profiles.prod]
PREFECT_API_URL = 'http://prod/api'

# end"""


def test_new_profile_goes_to_the_end_and_the_rest_stays() -> None:
    after = edited(FILE, Edit("encamp", {"PREFECT_API_URL": '"http://new/api"'}, "encamp"))
    assert after == (
        FILE.replace('"dev" # the one', '"encamp" # the one')
        + '\n\n[profiles.encamp]\nPREFECT_API_URL = "http://new/api"\n'
    )


def test_value_changes_in_place_with_its_comment() -> None:
    after = edited(FILE, Edit("dev", {"PREFECT_API_URL": '"http://new/api"'}))
    assert after == FILE.replace("http://dev/api", "http://new/api")


def test_new_key_follows_the_last_one_not_the_comment_of_the_next_profile() -> None:
    after = edited(FILE, Edit("dev", {"PREFECT_HOME": '"/x"'}))
    assert after == FILE.replace("= true\n", '= true\nPREFECT_HOME = "/x"\n')


def test_removing_a_profile_keeps_the_comment_behind_it() -> None:
    text = '[profiles.a]\nX = "1"\n\n# about b\n[profiles.b]\nX = "2"\n'
    assert edited(text, Edit("a", {"X": None}, prune=True)) == '\n# about b\n[profiles.b]\nX = "2"\n'


def test_active_is_added_as_the_first_line() -> None:
    assert edited("# c\n[profiles.a]\n", Edit("a", {}, "a")) == 'active = "a"\n# c\n[profiles.a]\n'


def test_active_is_removed() -> None:
    assert read(edited(FILE, Edit("dev", {}, None))).active is None


def test_same_value_written_otherwise_is_left_alone() -> None:
    assert edited(FILE, Edit("prod", {"PREFECT_API_URL": '"http://prod/api"'})) == FILE
    assert edited(FILE, Edit("dev", {"PREFECT_DEBUG_MODE": '"true"'})) == FILE


def test_line_endings_stay() -> None:
    after = edited(FILE.replace("\n", "\r\n"), Edit("encamp", {"A": '"1"'}, "encamp"))
    assert "\r\n" in after and "\n" not in after.replace("\r\n", "")


def test_a_byte_order_mark_is_named() -> None:
    """Prefect 3 ends with a TOMLDecodeError, Prefect 2 takes the mark for a part of the first key."""
    with pytest.raises(InvalidToml, match="byte order mark"):
        edited("\ufeff" + FILE, Edit("encamp", {"A": '"1"'}, "encamp"))


@pytest.mark.parametrize(
    "text",
    [
        'profiles = {a = {X = "1"}}',
        'profiles.a = {X = "1"}',
        '[profiles]\na.X = "1"\na.Y = "2"\n[other]\nz = 1\n',
        '[profiles]\na = {X = "1"}\n',
        '[profiles.a]\nX = "1"\n[other]\nz = 1\n[profiles.b]\nY = "1"\n',
        '[profiles."a"]\nX = "1"\n',
        "",
    ],
)
def test_odd_ways_to_write_it(text: str) -> None:
    before, after = tomllib.loads(text), edited(text, Edit("a", {"X": '"5"', "Z": '"6"'}, "a"))
    data = tomllib.loads(after)
    assert data["active"] == "a" and data["profiles"]["a"]["X"] == "5" and data["profiles"]["a"]["Z"] == "6"
    assert data.get("other") == before.get("other")
    assert data["profiles"].get("b") == before.get("profiles", {}).get("b")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("active = \n", 1),
        ("[profiles.a]\nX=1\n[profiles.a]\n", 3),
        ('a = "x"\nb = "\n', 2),
        ("active = 1", 0),
        ("profiles = 1", 0),
    ],
)
def test_bad_files_are_refused_with_the_line(text: str, line: int) -> None:
    with pytest.raises(InvalidToml) as caught:
        edited(text, Edit("a", {"X": '"1"'}))
    assert caught.value.line == line


@settings(deadline=None)
@given(st.text())
def test_every_text_survives_quoting(value: str) -> None:
    value = value.encode("utf-8", "ignore").decode()
    assert plain(quoted(value)) == value
    assert tomllib.loads(f"x = {quoted(value)}")["x"] == value


NAMES = st.text(string.ascii_letters + string.digits + '_-. é"', min_size=1, max_size=8)
KEYS = st.sampled_from(["PREFECT_API_URL", "PREFECT_HOME", "PREFECT_X", "PREFECT_API_KEY"])
TABLES = st.dictionaries(NAMES, st.dictionaries(KEYS, st.text(string.printable, max_size=12), max_size=3), max_size=4)
GAPS = st.lists(st.sampled_from(["", "# a comment", "  # another", ""]), max_size=3)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A profiles file as people write them: comments and blank lines anywhere between."""
    lines = draw(GAPS)
    if draw(st.booleans()):
        lines.append(f"active = {quoted(draw(NAMES))}")
    for name, table in draw(TABLES).items():
        lines += [*draw(GAPS), f"[profiles.{quoted(name)}]"]
        for key, value in table.items():
            lines += [*draw(GAPS), f"{key} = {quoted(value)}"]
    return "\n".join(lines + draw(GAPS))


@settings(deadline=None)  # a busy machine is no fault
@given(files(), NAMES, st.dictionaries(KEYS, st.one_of(st.none(), st.text(string.printable, max_size=9)), max_size=3))
def test_any_edit_gives_what_was_asked_and_moves_no_other_line(
    text: str, name: str, wanted: dict[str, str | None]
) -> None:
    values = {key: None if value is None else quoted(value) for key, value in wanted.items()}
    after = edited(text, Edit(name, values, name))
    before, data = tomllib.loads(text), tomllib.loads(after)
    assert data["active"] == name
    for other, table in before.get("profiles", {}).items():
        if other != name:
            assert data["profiles"][other] == table
    table = data.get("profiles", {}).get(name, {})
    for key, value in wanted.items():
        assert table.get(key) == value
    kept = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    assert [line for line in after.splitlines() if line.lstrip().startswith("#")] == kept
    assert edited(after, Edit(name, values, name)) == after
