"""PrefectProfile on real files: written, kept, and taken back byte for byte."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from encamp.resources.base import Refused
from encamp.shared.secret import Secret
from roles.kinds.prefect_profile import PrefectProfile
from roles.kinds.profile_record import load, record_path
from tests.unit.kinds.laptop import Laptop, converge

URL = "http://vm1:4200/api"
PROFILE = PrefectProfile("encamp", {"PREFECT_API_URL": URL})
MINE = '# mine\nactive = "dev"\n\n[profiles.dev]\nPREFECT_API_URL = "http://old/api" # old\n'


def undone(profile: PrefectProfile) -> PrefectProfile:
    """The same, to be taken back. A new object, as each run of encamp makes."""
    return dataclasses.replace(profile, undo=True)


@pytest.fixture
def host(tmp_path: Path) -> Laptop:
    return Laptop(str(tmp_path), want_diff=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".prefect/profiles.toml"


def put(file: Path, text: str, mode: int = 0o600) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text.encode())
    file.chmod(mode)


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_nothing_there_and_back(host: Laptop, file: Path) -> None:
    assert next(change.what for change in converge(PROFILE, host)) == "file"
    assert file.read_text() == f'active = "encamp"\n\n[profiles.encamp]\nPREFECT_API_URL = "{URL}"\n'
    assert mode(file) == 0o600
    assert PROFILE.check(host) == []
    converge(undone(PROFILE), host)
    assert not file.parent.exists()
    assert not os.path.exists(record_path(host))
    assert undone(PROFILE).check(host) == []


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o644])
def test_what_was_there_comes_back_byte_for_byte(host: Laptop, file: Path, permissions: int) -> None:
    put(file, MINE.replace("\n", "\r\n"), permissions)
    converge(PROFILE, host)
    assert mode(file) == permissions
    assert 'active = "encamp"' in file.read_text()
    converge(undone(PROFILE), host)
    assert file.read_bytes() == MINE.replace("\n", "\r\n").encode()
    assert mode(file) == permissions


def test_the_record_is_for_this_user_only_and_not_among_prefects_files(host: Laptop, file: Path) -> None:
    put(file, MINE)
    converge(PROFILE, host)
    assert mode(Path(record_path(host))) == 0o600
    assert ".prefect" not in record_path(host)


def test_edits_made_since_survive_undo(host: Laptop, file: Path) -> None:
    put(file, MINE)
    converge(PROFILE, host)
    with file.open("a") as stream:
        stream.write('\n[profiles.new] # by hand\nPREFECT_API_URL = "http://new/api"\n')
    converge(undone(PROFILE), host)
    assert file.read_text() == MINE + '\n[profiles.new] # by hand\nPREFECT_API_URL = "http://new/api"\n'
    assert "was edited" in host.notes[0]


def test_edits_made_between_two_runs_survive_undo(host: Laptop, file: Path) -> None:
    put(file, MINE)
    converge(PROFILE, host)
    file.write_text(file.read_text() + "# by hand\n")
    moved = dataclasses.replace(PROFILE, settings={"PREFECT_API_URL": "http://vm2/api"})
    converge(moved, host)
    converge(undone(moved), host)
    assert "# by hand" in file.read_text() and "encamp" not in file.read_text() and MINE in file.read_text()


def test_a_value_changed_by_the_user_is_the_users(host: Laptop, file: Path) -> None:
    put(file, MINE)
    converge(PROFILE, host)
    file.write_text(file.read_text().replace(URL, "http://mine/api"))
    converge(undone(PROFILE), host)
    assert "http://mine/api" in file.read_text() and 'active = "dev"' in file.read_text()


def test_keys_of_others_in_the_same_profile_stay_and_encamps_old_ones_go(host: Laptop, file: Path) -> None:
    both = dataclasses.replace(PROFILE, settings={"PREFECT_API_URL": URL, "PREFECT_HOME": "/x"})
    converge(both, host)
    file.write_text(file.read_text() + 'PREFECT_LOGGING_LEVEL = "DEBUG"\n')
    converge(PROFILE, host)
    assert "PREFECT_LOGGING_LEVEL" in file.read_text() and "PREFECT_HOME" not in file.read_text()


def test_undo_puts_back_values_that_encamp_replaced_or_removed(host: Laptop, file: Path) -> None:
    put(file, MINE)
    own = dataclasses.replace(PROFILE, name="dev", settings={"PREFECT_API_URL": URL})
    converge(own, host)
    file.write_text(file.read_text() + "# by hand\n")
    converge(undone(own), host)
    assert file.read_text() == MINE + "# by hand\n"


@pytest.mark.parametrize("first", ["encamp", "stage"])
def test_two_profiles_are_taken_back_in_any_order(host: Laptop, file: Path, first: str) -> None:
    put(file, MINE)
    stage = dataclasses.replace(PROFILE, name="stage")
    converge(PROFILE, host)
    converge(stage, host)
    order = sorted([PROFILE, stage], key=lambda profile: profile.name != first)
    converge(undone(order[0]), host)
    assert f"[profiles.{order[1].name}]" in file.read_text() and f"[profiles.{first}]" not in file.read_text()
    converge(undone(order[1]), host)
    assert file.read_text() == MINE


def test_a_kill_between_record_and_file_changes_nothing_about_undo(host: Laptop, file: Path) -> None:
    put(file, MINE)
    converge(PROFILE, host)
    put(file, MINE)
    converge(PROFILE, host)
    converge(undone(PROFILE), host)
    assert file.read_text() == MINE


def test_a_link_is_followed_and_stays_a_link(host: Laptop, file: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    put(tmp_path / "dotfiles/p.toml", MINE)
    file.parent.mkdir()
    file.symlink_to("../dotfiles/p.toml")
    converge(PROFILE, host)
    assert file.is_symlink() and "encamp" in (tmp_path / "dotfiles/p.toml").read_text()
    converge(undone(PROFILE), host)
    assert file.is_symlink() and file.read_text() == MINE


def test_a_broken_file_is_refused_with_the_place_and_left_alone(host: Laptop, file: Path) -> None:
    put(file, "[profiles.a]\nX = \n")
    with pytest.raises(Refused, match=r"profiles\.toml:2:"):
        PROFILE.check(host)
    with pytest.raises(Refused):
        PROFILE.apply(host, [])
    assert file.read_text() == "[profiles.a]\nX = \n" and load(host) == {}


def test_a_secret_shows_nowhere_and_closes_the_file(host: Laptop, file: Path) -> None:
    put(file, MINE + 'PREFECT_API_KEY = "pnu_other"\n', 0o644)
    profile = dataclasses.replace(PROFILE, settings={"PREFECT_API_AUTH_STRING": Secret('u:p"ä\\ss')})
    changes = converge(profile, host)
    shown = "".join(f"{change} {change.diff}" for change in changes) + "".join(host.notes)
    assert "PREFECT_API_AUTH_STRING" in shown
    assert not [part for part in ("pnu_other", 'u:p"', 'u:p\\"', 'ss"') if part in shown]
    assert mode(file) == 0o600
    converge(undone(profile), host)
    assert mode(file) == 0o644


def test_a_cloud_key_in_the_profile_is_told_not_deleted(host: Laptop, file: Path) -> None:
    put(file, '[profiles.encamp]\nPREFECT_API_KEY = "pnu_x"\n')
    converge(PROFILE, host)
    assert "pnu_x" in file.read_text() and "PREFECT_API_KEY" in host.notes[0] and len(host.notes) == 1


def test_not_activated_where_not_asked(host: Laptop, file: Path) -> None:
    put(file, MINE)
    converge(dataclasses.replace(PROFILE, activate=False), host)
    assert 'active = "dev"' in file.read_text()


def test_a_setting_the_oldest_prefect_here_does_not_know_is_left_out(host: Laptop, file: Path, tmp_path: Path) -> None:
    (tmp_path / ".venv/lib/python3.11/site-packages/prefect-2.20.27.dist-info").mkdir(parents=True)
    (tmp_path / "work/.venv/lib/python3.11/site-packages/prefect-3.8.8.dist-info").mkdir(parents=True)
    settings = {"PREFECT_API_URL": URL, "PREFECT_API_AUTH_STRING": Secret("a:b")}
    converge(
        dataclasses.replace(PROFILE, settings=settings, minimum_versions={"PREFECT_API_AUTH_STRING": "3.1.8"}), host
    )
    assert "AUTH" not in file.read_text() and "2.20.27" in host.notes[0]
