"""Locks: made by the real uv from an index of our own, and read back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import fabric
import pytest

from encamp.cli.options import Options
from encamp.commands.lock import lock
from encamp.errors import EncampError, SettingsError, UsageError
from encamp.locking import lockfile
from encamp.locking.lockfile import LockError
from encamp.locking.package_index import IndexConfig, guarded
from encamp.locking.release_index import IndexUnusable, find, normalized
from roles.prefect import bounds
from tests.unit.local_index import LocalIndex, serving, wheel

COMMITTED = Path(__file__).parents[3] / "roles/locks"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalIndex]:
    """An index where a dependency of prefect moved on a month after the release."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with serving(LocalIndex()) as running:
        prefect = wheel("prefect", "9.1.0", requires="part>=1")
        running.add("prefect-9.1.0-py3-none-any.whl", prefect, "2026-03-01T12:00:00Z", "<3.15, >=3.10")
        running.add("part-1.0-py3-none-any.whl", wheel("part", "1.0"), "2026-01-01T00:00:00Z")
        running.add("part-1.1-py3-none-any.whl", wheel("part", "1.1"), "2026-03-04T00:00:00Z")
        running.add("part-2.0-py3-none-any.whl", wheel("part", "2.0"), "2026-04-01T00:00:00Z")
        yield running


def make(index: LocalIndex, directory: Path, version: str = "9.1.0", date: str | None = None) -> lockfile.Lock:
    lockfile.make(version, directory, date, IndexConfig(index.url))
    return lockfile.load(version, directory)


class TestMake:
    def test_sees_the_index_as_of_a_few_days_after_the_release(self, index: LocalIndex, tmp_path: Path) -> None:
        lock = make(index, tmp_path / "locks")
        assert (lock.date, lock.requires_python) == ("2026-03-06", ">=3.10,<3.15")
        assert "part==1.1 \\\n    --hash=sha256:" in lock.text
        digest = hashlib.sha256(index.files["prefect-9.1.0-py3-none-any.whl"]).hexdigest()
        assert f"prefect==9.1.0 \\\n    --hash=sha256:{digest}" in lock.text
        assert lock.sha256 == hashlib.sha256((tmp_path / "locks/prefect-9.1.0.txt").read_bytes()).hexdigest()
        assert lock.name == f"9.1.0-{lock.sha256[:12]}"
        assert index.url not in lock.text

    def test_the_same_day_gives_the_same_lock(self, index: LocalIndex, tmp_path: Path) -> None:
        assert make(index, tmp_path / "a") == make(index, tmp_path / "b")

    def test_a_day_can_be_given(self, index: LocalIndex, tmp_path: Path) -> None:
        assert "part==2.0 " in make(index, tmp_path, date="2026-05-01").text

    def test_what_does_not_resolve_is_refused_with_the_reason(self, index: LocalIndex, tmp_path: Path) -> None:
        late = wheel("prefect", "9.2.0", requires="part>=3")
        index.add("prefect-9.2.0-py3-none-any.whl", late, "2026-04-02T00:00:00Z", ">=3.10")
        with pytest.raises(LockError, match="part>=3"):
            make(index, tmp_path, "9.2.0")
        assert not list(tmp_path.glob("*.txt"))

    def test_an_index_without_dates_asks_for_one(self, index: LocalIndex, tmp_path: Path) -> None:
        index.uploaded["prefect-9.1.0-py3-none-any.whl"] = ""
        with pytest.raises(LockError, match="does not say when") as error:
            make(index, tmp_path)
        assert "--exclude-newer" in error.value.fix

    def test_an_unknown_release_is_named(self, index: LocalIndex, tmp_path: Path) -> None:
        with pytest.raises(IndexUnusable, match=r"no prefect 9\.1$"):
            make(index, tmp_path, "9.1")

    def test_credentials_are_used_and_not_shown(self, index: LocalIndex, tmp_path: Path) -> None:
        index.login = "me:p@ss"
        config = IndexConfig(guarded(index.url.replace("://", "://me:p%40ss@")))
        lockfile.make("9.1.0", tmp_path, None, config)
        assert "p%40ss" not in lockfile.load("9.1.0", tmp_path).text
        with pytest.raises(EncampError, match="HTTP 401") as error:
            find("prefect", "9.1.0", IndexConfig(index.url))
        assert "credentials" in error.value.fix


class TestLoad:
    def test_a_missing_lock_says_how_to_make_it(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError) as error:
            lockfile.load("3.8.8", tmp_path)
        assert error.value.fix == "fab lock --prefect 3.8.8"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "prefect==3.8.8\n",
            "# prefect: 3.8.7\n# resolved-as-of: 2026-10-11\n# requires-python: >=3.10\n\nprefect==3.8.8 \\\n",
            "# prefect: 3.8.8\n# resolved-as-of: 2026-10-11\n# requires-python: >=3.10\n\nprefect==3.8.8 \n",
        ],
    )
    def test_what_is_no_lock_is_refused(self, text: str, tmp_path: Path) -> None:
        lockfile.path_of("3.8.8", tmp_path).write_text(text)
        with pytest.raises(SettingsError, match="does not") as error:
            lockfile.load("3.8.8", tmp_path)
        assert error.value.fix == "make it again: fab lock --prefect 3.8.8"

    def test_releases_come_in_order(self, tmp_path: Path) -> None:
        for version in ("3.10.0", "3.9.1", "2.20.26"):
            lockfile.path_of(version, tmp_path).touch()
        assert lockfile.available(tmp_path) == ["2.20.26", "3.9.1", "3.10.0"]

    @pytest.mark.parametrize("version", lockfile.available(COMMITTED))
    def test_the_committed_ones_load_and_prove_every_package(self, version: str) -> None:
        lock = lockfile.load(version, COMMITTED)
        pins = [line for line in lock.text.splitlines() if line and line[0] not in " #"]
        assert len(pins) > 50
        assert all(line.endswith(" \\") for line in pins)
        assert lock.text.count("--hash=sha256:") >= len(pins)


def test_ranges_are_tidied() -> None:
    assert normalized("<3.15, >=3.10") == ">=3.10,<3.15"
    assert normalized("") == ""


class TestWithPackages:
    def test_they_are_resolved_together_and_the_lock_is_one_of_its_own(self, index: LocalIndex, tmp_path: Path) -> None:
        index.add("extra-1.0-py3-none-any.whl", wheel("extra", "1.0", requires="part<1.1"), "2026-01-01T00:00:00Z")
        path = lockfile.make("9.1.0", tmp_path, None, IndexConfig(index.url), ["extra == 1.0"])
        lock = lockfile.load("9.1.0", tmp_path, ["extra==1.0"])
        assert "part==1.0 " in lock.text and "extra==1.0 " in lock.text
        assert lock.packages == ("extra==1.0",) and path != lockfile.path_of("9.1.0", tmp_path)
        assert lockfile.available(tmp_path) == []

    def test_a_missing_one_names_the_command_that_makes_it(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"no lock for Prefect 9\.1\.0 with a, b==1") as error:
            lockfile.load("9.1.0", tmp_path, ["b==1", "a"])
        assert error.value.fix == "fab lock --prefect 9.1.0 --with 'a' --with 'b==1'"

    def test_order_and_spaces_do_not_matter(self, tmp_path: Path) -> None:
        assert lockfile.path_of("9.1.0", tmp_path, ["b == 1", "a"]) == lockfile.path_of(
            "9.1.0", tmp_path, ["a", "b==1"]
        )

    @pytest.mark.parametrize(
        "wrong", ["-r file", "https://example.com/x.whl", "../x", "a b' c", "a b", "a==1 b", "name==1; print()"]
    )
    def test_what_is_no_package_of_an_index_is_refused(self, tmp_path: Path, wrong: str) -> None:
        with pytest.raises(SettingsError, match="not a package of an index"):
            lockfile.load("9.1.0", tmp_path, [wrong])


def test_a_release_that_no_deploy_takes_is_not_locked() -> None:
    with pytest.raises(UsageError, match=r"1\.4\.1: older than 2\.0"):
        lock(Options(fabric.Config()), "1.4.1")


@pytest.mark.parametrize("version", ["9" * 400, "3.8\x008"])
def test_a_version_that_no_file_can_be_named_after_has_no_lock(tmp_path: Path, version: str) -> None:
    with pytest.raises(SettingsError, match="there is no lock"):
        lockfile.load(version, tmp_path)


def test_a_lock_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "prefect-3.8.8.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        lockfile.load("3.8.8", tmp_path)


class TestBounds:
    def test_a_bound_holds_on_top_of_the_date(self, index: LocalIndex, tmp_path: Path) -> None:
        path = lockfile.make("9.1.0", tmp_path, None, IndexConfig(index.url), bounds=["part<1.1", "unheard-of<2"])
        text = path.read_text("utf-8")
        assert "\n# bounds: part<1.1 unheard-of<2\n" in text
        assert "\npart==1.0 " in text and "unheard-of==" not in text

    def test_a_package_that_wants_more_is_refused_with_the_bound(self, index: LocalIndex, tmp_path: Path) -> None:
        extra = wheel("extra", "1.0", requires="part>=1.1")
        index.add("extra-1.0-py3-none-any.whl", extra, "2026-01-01T00:00:00Z")
        with pytest.raises(LockError, match=r"does not resolve as of 2026-03-06 within part<1\.1"):
            lockfile.make("9.1.0", tmp_path, None, IndexConfig(index.url), ["extra"], bounds=["part<1.1"])
        assert not list(tmp_path.glob("*.txt"))

    @pytest.mark.parametrize("version", lockfile.available(COMMITTED))
    def test_the_committed_ones_keep_within_theirs(self, version: str) -> None:
        bounds.require(lockfile.load(version, COMMITTED), "")

    @pytest.mark.parametrize(
        ("version", "pinned", "good"),
        [
            ("3.8.8", "2.0.54", True),
            ("3.8.8", "2.1.0", False),
            ("3.8.8", "2.1.4", False),
            ("3.9.0", "2.1.6", False),
            ("3.9.1", "2.1.7", True),
            ("2.20.26", "2.1.4", True),
        ],
    )
    def test_a_lock_that_breaks_one_is_refused_with_what_breaks(self, version: str, pinned: str, good: bool) -> None:
        text = f"prefect=={version} \\\n    --hash=sha256:aa\nsqlalchemy=={pinned} ; python_full_version >= '3.11' \\\n"
        lock = lockfile.Lock(version, text, "ab", "2026-10-11", ">=3.10")
        if good:
            bounds.require(lock, "again")
            return
        with pytest.raises(
            SettingsError, match=rf"pins sqlalchemy {pinned}, with which schedules create no flow runs"
        ) as error:
            bounds.require(lock, "fab lock --prefect 3.8.8")
        assert error.value.fix == "make it again: fab lock --prefect 3.8.8"
