"""The mark of the encamp that made a site."""

from __future__ import annotations

import pytest

from encamp.cli.site_version import check
from encamp.errors import SettingsError


@pytest.mark.parametrize("mark", [None, "0.9.9", "0.10.0", "0.10.0.dev1", "0.10", 0.1])
def test_a_site_of_this_encamp_or_an_older_one_is_fine(mark: object) -> None:
    check(mark, "0.10.0")


@pytest.mark.parametrize("mark", ["0.10.1", "0.11.0", "1.0.0", "0.10.0.1", 1])
def test_a_newer_one_is_refused(mark: object) -> None:
    with pytest.raises(SettingsError, match=f"made by encamp {mark}, and this is encamp 0.10.0") as caught:
        check(mark, "0.10.0")
    assert "upgrade encamp" in caught.value.fix


@pytest.mark.parametrize("mark", ["", "new", True, ["0.1.0"]])
def test_what_is_no_version_is_an_error(mark: object) -> None:
    with pytest.raises(SettingsError, match=r"encamp\.version is"):
        check(mark, "0.10.0")
