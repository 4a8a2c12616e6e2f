"""Whatever stands in the other files that encamp reads: its own error with a message, never another one."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from encamp.errors import EncampError, SavedPlanError
from encamp.locking import lockfile
from encamp.planning import saved_plan
from encamp.planning.saved_plan_key import PlanKey
from encamp.secrets.vault import cipher
from encamp.secrets.vault.values import VaultError
from encamp.shared.secret import Secret
from roles.client.kinds.profile import edit as profile_edit
from roles.client.kinds.profile.edit import Edit, InvalidToml, Keep
from roles.database import url as database_url
from tests.unit.fuzz import ODD, SOUP, TEXTS, TREES, bounded

TOML = st.sampled_from(
    [
        *(
            'active = "hosted"',
            "active = 1",
            "active = [1]",
            "[profiles.hosted]",
            "[profiles]",
            "[[profiles]]",
            "profiles = 1",
        ),
        *(
            'PREFECT_API_URL = "http://x/api"',
            "PREFECT_API_KEY = '''\nx'''",
            "a.b.c = 1",
            "a = {b = 1}",
            'profiles.x.y = "z"',
        ),
        *(
            "[profiles.'a b']",
            '[profiles."é"]',
            "[profiles.hosted.deeper]",
            "x = 2001-01-01",
            "x = nan",
            "x = 0x1f",
            "x = 1979-05-27T07:32",
        ),
        *(
            "# note",
            "",
            "\r\n",
            "\ufeff",
            "x =",
            "= x",
            "[",
            "]]",
            '"',
            "'''",
            '"\\ud800" = 1',
            "hosted = {}",
            "[profiles.hosted] # x",
        ),
    ]
)
PROFILES = st.one_of(st.lists(st.one_of(TOML, TOML, ODD), max_size=8).map("\n".join), SOUP)
EDITS = st.builds(
    Edit,
    profile=st.one_of(st.just("hosted"), st.text(min_size=1, max_size=6)),
    values=st.dictionaries(
        st.sampled_from(["PREFECT_API_URL", "PREFECT_API_KEY", "x"]),
        st.one_of(st.none(), st.text(max_size=8).map(profile_edit.quoted)),
        max_size=3,
    ),
    active=st.one_of(st.just(Keep()), st.none(), st.text(max_size=6)),
    prune=st.booleans(),
)
KEY = PlanKey(Secret("k" * 40))
MARKED = {"kind": saved_plan.KIND, "format": saved_plan.FORMAT, "key": KEY.name}
HEX = st.text(alphabet="0123456789abcdefg\n ", max_size=80)


@given(PROFILES, EDITS)
@bounded(150)
def test_any_profiles_file(text: str, edit: Edit) -> None:
    try:
        changed = profile_edit.edited(text, edit)
    except InvalidToml as error:
        assert str(error)
    else:
        assert profile_edit.edited(changed, edit) == changed


@given(st.one_of(TEXTS, st.just("3.8.8")), SOUP, st.sampled_from(["", "# prefect: 3.8.8\n# resolved-as-of: x\n"]))
@bounded(100)
def test_any_lock(version: str, text: str, head: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name, "prefect-3.8.8.txt").write_text(head + text, "utf-8", errors="surrogatepass")
        try:
            lockfile.available(Path(name))
            lockfile.load(version, Path(name))
        except EncampError as error:
            assert str(error)


@given(st.one_of(SOUP, TREES.map(lambda tree: json.dumps(tree, default=str, skipkeys=True))))
@bounded(100)
def test_any_text_as_a_plan(text: str) -> None:
    refused(text)


@given(st.dictionaries(st.sampled_from(["kind", "format", "key", "seal", "hosts", "expires", "x"]), TREES, max_size=4))
@bounded(100)
def test_anything_that_looks_like_a_plan(more: dict[str, Any]) -> None:
    refused(json.dumps({**MARKED, **more}, default=str, skipkeys=True))


def refused(text: str) -> None:
    """No seal of ours is on it: it is not believed."""
    try:
        saved_plan.unsealed(text, "plan.json", KEY)
    except SavedPlanError as error:
        assert str(error)
    else:
        raise AssertionError("believed")


@given(st.one_of(SOUP, HEX.map(lambda body: f"$ANSIBLE_VAULT;1.1;AES256\n{body}"), TEXTS))
@bounded(100)
def test_any_vault(text: str) -> None:
    try:
        cipher.decrypt(text, [cipher.Identity("", Secret("x"))])
    except VaultError as error:
        assert str(error)


@given(
    st.one_of(TEXTS, st.text(alphabet="postgresql+asyncpg://@[]:?&=%/20a.", max_size=30).map("postgresql://".__add__))
)
@bounded(200)
def test_any_database_url(text: str) -> None:
    try:
        database_url.parse(Secret(text))
    except ValueError as error:
        assert type(error) is ValueError and str(error)
