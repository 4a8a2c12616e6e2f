"""Where `fab lock` puts a lock, and which one a host gets."""

from __future__ import annotations

import shutil
from pathlib import Path

import fabric
import pytest

from encamp.cli.options import Options
from encamp.commands.lock import folder_of
from encamp.errors import SettingsError
from encamp.support.checkout import CHECKOUT
from roles.prefect.release import LOCKS, Settings, load_release

RELEASE = Settings(prefect_version="3.8.8")


@pytest.fixture(autouse=True)
def no_other_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENCAMP_INVENTORY", raising=False)


def test_of_a_checkout(tmp_path: Path) -> None:
    options = Options(fabric.Config(), home=str(CHECKOUT))
    assert folder_of(options, ()) == LOCKS
    assert folder_of(options, ("prefect-aws",)) == Path(str(CHECKOUT), "inventory", "locks")


def test_of_a_site(tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    options = Options(fabric.Config(), home=str(tmp_path))
    assert folder_of(options, ()) == folder_of(options, ("prefect-aws",)) == tmp_path / "inventory" / "locks"


def test_of_another_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("")
    for place in (tmp_path, tmp_path / "hosts.yml"):
        assert folder_of(Options(fabric.Config(), home="/site", inventory=str(place)), ()) == tmp_path / "locks"


def test_a_lock_of_the_site_goes_first(tmp_path: Path) -> None:
    shipped = load_release(RELEASE, str(tmp_path))
    (tmp_path / "locks").mkdir()
    own = tmp_path / "locks" / "prefect-3.8.8.txt"
    shutil.copy(LOCKS / own.name, own)
    assert load_release(RELEASE, str(tmp_path)) == shipped
    own.write_text(own.read_text() + "# another\n")
    assert load_release(RELEASE, str(tmp_path)).lock.sha256 != shipped.lock.sha256


def test_a_damaged_lock_of_the_site_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "prefect-3.8.8.txt").write_text("prefect\n")
    with pytest.raises(SettingsError) as caught:
        load_release(RELEASE, str(tmp_path))
    assert str(tmp_path / "locks") in str(caught.value.where)
