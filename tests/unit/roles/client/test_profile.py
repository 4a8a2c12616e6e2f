"""PrefectProfile on real files: written, kept, and taken back byte for byte."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from encamp.resources.base import Refused
from encamp.shared.secret import Secret
from roles.client.kinds.profile.prefect_profile import ACTIVE, PrefectProfile
from roles.client.kinds.profile.record import load, record_path
from roles.client.kinds.profile.undo import UndoProfile
from roles.prefect import versions
from tests.unit.roles.client.laptop import Laptop, converge

URL = "http://vm1:4200/api"
PROFILE = PrefectProfile("encamp", {"PREFECT_API_URL": URL})
MINE = '# mine\nactive = "dev"\n\n[profiles.dev]\nPREFECT_API_URL = "http://old/api" # old\n'


def undone(profile: PrefectProfile) -> UndoProfile:
    """The same, to be taken back. A new object, as each run of encamp makes."""
    return UndoProfile(profile.name)


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


def test_a_cloud_key_beside_a_server_of_ones_own_goes_and_comes_back(host: Laptop, file: Path) -> None:
    before = '[profiles.encamp]\nPREFECT_API_KEY = "pnu_x"\n'
    put(file, before)
    converge(dataclasses.replace(PROFILE, absent=("PREFECT_API_KEY",)), host)
    assert "pnu_x" not in file.read_text() and "PREFECT_API_KEY" in host.notes[0] and len(host.notes) == 1
    converge(UndoProfile(), host)
    assert file.read_text() == before


def test_not_activated_where_not_asked(host: Laptop, file: Path) -> None:
    put(file, MINE)
    converge(dataclasses.replace(PROFILE, activate=False), host)
    assert 'active = "dev"' in file.read_text()


def installs(home: Path, **versions: str) -> None:
    """Environments with Prefect, by the name of a folder."""
    for folder, version in versions.items():
        packages = home / folder / ".venv/lib/python3.11/site-packages"
        (packages / f"prefect-{version.replace('_', '.')}.dist-info").mkdir(parents=True)


def with_names(profile: PrefectProfile, **options: object) -> PrefectProfile:
    """A profile whose settings are keys of the table of versions."""
    changed = {
        "names": versions.NAMES,
        "also": versions.ALSO_CALLED,
        "dropped": versions.DROPPED,
        "builtin": versions.BUILTIN_PROFILES,
        **options,
    }
    return dataclasses.replace(profile, **changed)  # type: ignore[arg-type]


def test_a_setting_the_oldest_prefect_here_does_not_know_is_left_out(host: Laptop, file: Path, tmp_path: Path) -> None:
    installs(tmp_path, old="2.20.27", new="3.8.8")
    converge(with_names(PROFILE, settings={"api_url": URL, "ephemeral": "false"}), host)
    assert URL in file.read_text() and "EPHEMERAL" not in file.read_text() and "2.20.27" in host.notes[0]


def test_what_a_server_needs_is_never_left_out_silently(host: Laptop, file: Path, tmp_path: Path) -> None:
    """Written, it would break every import of the older one; left out, the newer one would get 401."""
    installs(tmp_path, old="2.20.27", new="3.8.8")
    settings = {"api_url": URL, "client_auth": Secret("a:b")}
    with pytest.raises(Refused, match=r"PREFECT_API_AUTH_STRING exists since Prefect 3\.1\.8, but 2\.20\.27 in .*old"):
        with_names(PROFILE, settings=settings, required=("client_auth",)).check(host)
    assert not file.exists()


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ({"a": "2.0.4"}, "PREFECT_ORION_DATABASE_CONNECTION_URL"),
        ({"a": "2.20.26"}, "PREFECT_API_DATABASE_CONNECTION_URL"),
        ({"a": "3.8.8"}, "PREFECT_SERVER_DATABASE_CONNECTION_URL"),
        ({"a": "3.8.8", "b": "2.20.26"}, "PREFECT_API_DATABASE_CONNECTION_URL"),
        ({"a": "2.12.1", "b": "2.7.12"}, "PREFECT_ORION_DATABASE_CONNECTION_URL"),
    ],
)
def test_a_setting_has_the_name_that_every_prefect_here_reads(
    host: Laptop, file: Path, tmp_path: Path, found: dict[str, str], name: str
) -> None:
    installs(tmp_path, **found)
    converge(with_names(PROFILE, settings={"database_url": Secret("postgresql+asyncpg://u:p@h/d")}), host)
    lines = [line for line in file.read_text().splitlines() if "DATABASE" in line]
    assert lines == [f'{name} = "postgresql+asyncpg://u:p@h/d"']


def test_releases_without_a_name_in_common_are_refused(host: Laptop, file: Path, tmp_path: Path) -> None:
    installs(tmp_path, old="2.7.12", new="3.8.8")
    with pytest.raises(Refused, match=r"2\.7\.12 in .* and 3\.8\.8 in .* no name for database_url works for both"):
        with_names(PROFILE, settings={"database_url": Secret("postgresql+asyncpg://u:p@h/d")}).check(host)
    assert not file.exists()


LOCAL = PrefectProfile(
    ACTIVE,
    {"ephemeral": "true"},
    names=versions.NAMES,
    dropped=versions.DROPPED,
    builtin=versions.BUILTIN_PROFILES,
    absent=("api_url", "database_url"),
)


def test_local_takes_api_and_database_out_of_the_active_profile_and_undo_brings_them_back(
    host: Laptop, file: Path, tmp_path: Path
) -> None:
    installs(tmp_path, a="3.8.8")
    before = MINE + 'PREFECT_API_DATABASE_CONNECTION_URL = "postgresql+asyncpg://x"\nPREFECT_LOGGING_LEVEL = "DEBUG"\n'
    put(file, before)
    converge(LOCAL, host)
    text = file.read_text()
    assert "API_URL" not in text and "CONNECTION_URL" not in text and 'PREFECT_LOGGING_LEVEL = "DEBUG"' in text
    assert 'PREFECT_SERVER_ALLOW_EPHEMERAL_MODE = "true"' in text and text.startswith('# mine\nactive = "dev"')
    converge(UndoProfile(), host)
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("version", "text", "after"),
    [
        ("3.8.8", None, None),
        ("3.8.8", 'active = "ephemeral"\n', 'active = "ephemeral"\n'),
        ("3.8.8", 'active = "local"\n', 'active = "ephemeral"\n'),
        ("3.8.8", 'active = "cloud"\n[profiles.cloud]\nPREFECT_API_KEY = "k"\n', "ephemeral"),
        ("2.20.26", 'active = "default"\n[profiles.default]\n', 'active = "default"\n[profiles.default]\n'),
        ("2.20.26", '[profiles.default]\nPREFECT_API_URL = "u"\n', 'active = "default"\n[profiles.default]\n'),
    ],
)
def test_local_leaves_what_is_ephemeral_already(
    host: Laptop, file: Path, tmp_path: Path, version: str, text: str | None, after: str | None
) -> None:
    installs(tmp_path, a=version)
    if text is not None:
        put(file, text)
    converge(LOCAL, host)
    found = file.read_text() if file.exists() else None
    assert found == after or (after == "ephemeral" and found == str(text).replace('"cloud"', '"ephemeral"', 1))


def test_a_switch_between_profiles_of_encamp_stays(host: Laptop, file: Path) -> None:
    """`prefect profile use personal` is the user's choice; another run of encamp does not undo it."""
    both = ("encamp", "personal")
    first = dataclasses.replace(PROFILE, others=both)
    second = dataclasses.replace(PROFILE, name="personal", activate=False, others=both)
    for profile in (first, second):
        converge(profile, host)
    file.write_text(file.read_text().replace('active = "encamp"', 'active = "personal"'))
    assert first.check(host) == [] and second.check(host) == []
    converge(UndoProfile(), host)
    assert not file.exists() or "encamp" not in file.read_text()


@pytest.mark.parametrize("there", [True, False])
def test_names_that_prefects_cli_saves_instead_are_left_and_undone(
    host: Laptop, file: Path, tmp_path: Path, there: bool
) -> None:
    """`prefect profile use` of 3.x rewrites the whole file, with today's names of all settings."""
    installs(tmp_path, a="3.8.8")
    if there:
        put(file, MINE)
    profile = with_names(PROFILE, settings={"api_url": URL, "ephemeral": "false"})
    converge(profile, host)
    renamed = file.read_text().replace("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "PREFECT_SERVER_EPHEMERAL_ENABLED")
    file.write_text(renamed + "\n")
    host.forget()
    assert profile.check(host) == []
    converge(with_names(PROFILE, settings={"api_url": URL, "ephemeral": "true"}), host)
    assert "ALLOW" not in file.read_text() and 'EPHEMERAL_ENABLED = "true"' in file.read_text()
    converge(UndoProfile(), host)
    assert file.read_text().strip() == MINE.strip() if there else not file.exists()


def test_a_name_that_the_oldest_here_does_not_know_goes_again(host: Laptop, file: Path, tmp_path: Path) -> None:
    """The CLI of the newer one wrote it; the older one stops at import."""
    installs(tmp_path, old="2.20.26", new="3.8.8")
    profile = with_names(PROFILE, settings={"database_url": Secret("postgresql+asyncpg://u:p@h/d")})
    converge(profile, host)
    file.write_text(file.read_text().replace("PREFECT_API_DATABASE", "PREFECT_SERVER_DATABASE"))
    converge(profile, host)
    assert "PREFECT_SERVER_DATABASE" not in file.read_text() and "PREFECT_API_DATABASE" in file.read_text()
