"""Generated secrets: made once, kept safely, never overwritten, and refused where others could read them."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encamp.errors import SettingsError
from encamp.inventory.load import load_inventory
from encamp.secrets.rotation import Rotation
from encamp.secrets.store import PLACEHOLDER, SecretStore, file_name, read, status
from encamp.site import Site

NAME = "vm1/default/api-auth"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_and_kept(folder: Path) -> None:
    old = os.umask(0)
    try:
        made = SecretStore(folder, "make").get(NAME).reveal()
    finally:
        os.umask(old)
    assert len(made) >= 32 and made.isalnum()
    assert _mode(folder) == 0o700
    assert _mode(folder / "vm1+default+api-auth") == 0o600
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "vm1+default+api-auth"]
    for missing in ("make", "plan", "refuse"):
        assert SecretStore(folder, missing).get(NAME).reveal() == made
    assert SecretStore(folder, "make").get("vm2/default/api-auth").reveal() != made


def test_git_sees_nothing_of_it(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", str(folder.parent)], check=True)
    SecretStore(folder, "make").get(NAME)
    status = subprocess.run(["git", "-C", str(folder.parent), "status", "--porcelain", "-uall"], capture_output=True)
    assert status.stdout == b""


def test_a_plan_writes_nothing(folder: Path) -> None:
    assert SecretStore(folder, "plan").get(NAME) is PLACEHOLDER
    with pytest.raises(SettingsError, match="is not on this machine"):
        SecretStore(folder, "refuse").get(NAME)
    assert not folder.exists()


def test_an_operators_own_value_is_kept(folder: Path) -> None:
    store = SecretStore(folder, "make")
    store.get("other")
    path = store.path(NAME)
    path.write_text("chosen by hand\n")
    path.chmod(0o600)
    assert store.get(NAME).reveal() == "chosen by hand"


def _get(folder: Path, gate: str, found: multiprocessing.Queue[str]) -> None:
    while not os.path.exists(gate):
        pass
    found.put(SecretStore(folder, "make").get(NAME).reveal())


def test_many_at_once_get_one_secret(folder: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    found: multiprocessing.Queue[str] = context.Queue()
    gate = tmp_path / "gate"
    runs = [context.Process(target=_get, args=(folder, str(gate), found)) for _ in range(8)]
    for run in runs:
        run.start()
    gate.touch()
    values = {found.get(timeout=120) for _ in runs}
    for run in runs:
        run.join(120)
    assert len(values) == 1
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "vm1+default+api-auth"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_a_file_that_others_can_reach_is_refused(folder: Path, mode: int) -> None:
    store = SecretStore(folder, "make")
    store.get(NAME)
    store.path(NAME).chmod(mode)
    with pytest.raises(SettingsError, match="by others") as refused:
        SecretStore(folder, "make").get(NAME)
    assert "chmod 600" in refused.value.fix


@pytest.mark.parametrize(("text", "wrong"), [(b"", "empty"), (b"\n", "empty"), (b"a\nb\n", "lines"), (b"\xff", "text")])
def test_a_damaged_file_is_refused_and_kept(folder: Path, text: bytes, wrong: str) -> None:
    store = SecretStore(folder, "make")
    store.get("other")
    path = store.path(NAME)
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=wrong):
        store.get(NAME)
    assert path.read_bytes() == text


def test_what_cannot_be_looked_at_is_told_and_not_taken_for_absent(tmp_path: Path) -> None:
    """As where the folder is root's, from a `sudo fab deploy` once: here it is a file, which even root cannot enter."""
    (tmp_path / "secrets").write_text("")
    path = SecretStore(tmp_path / "secrets").path(NAME)
    for look in (status, read, lambda path: Rotation(path).state()):
        with pytest.raises(SettingsError, match="Not a directory"):
            look(path)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: os.mkfifo(path, 0o600)])
def test_what_is_no_file_is_refused(folder: Path, make) -> None:  # type: ignore[no-untyped-def]
    store = SecretStore(folder, "make")
    store.get("other")
    make(store.path(NAME))
    with pytest.raises(SettingsError):
        store.get(NAME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_is_refused(folder: Path) -> None:
    store = SecretStore(folder, "make")
    store.get(NAME)
    os.chown(store.path(NAME), 12345, 0)
    with pytest.raises(SettingsError, match="another user"):
        SecretStore(folder, "make").get(NAME)


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_may_write_to_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(SettingsError, match="writable by others"):
        SecretStore(folder, "make").get(NAME)
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file")
    with pytest.raises(SettingsError, match="Not a directory"):
        SecretStore(tmp_path / "secrets", "make").get(NAME)


@pytest.mark.skipif(os.geteuid() != 0, reason="root writes everywhere: another user is needed")
def test_a_folder_without_the_right_to_write_is_told() -> None:
    """As another user, in a folder of root's: a clear error, and no traceback."""
    code = (
        "import os; from pathlib import Path; from encamp.secrets.store import SecretStore; "
        "from encamp.errors import SettingsError; os.setuid(65534)\n"
        "try: SecretStore(Path('/etc/secrets'), 'make').get('a')\n"
        "except SettingsError as error: print(error, '|', error.fix)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Permission denied; a generated secret cannot be stored | make /etc/secrets a folder" in done.stdout


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_names_become_plain_file_names_and_no_two_share_one(one: str, other: str) -> None:
    first, second = file_name(one), file_name(other)
    assert (first == second) == (one == other)
    assert "/" not in first and not first.startswith(".") and len(first) <= 255 and first.isascii()


def test_a_site_keeps_its_secrets_beside_its_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all:\n  hosts: {vm1: }\n")
    loaded = load_inventory(tmp_path)
    assert Site(loaded, []).generated(NAME) == PLACEHOLDER
    made = Site(loaded, [], "make").generated(NAME)
    assert (tmp_path / "secrets" / "vm1+default+api-auth").read_text() == made.reveal() + "\n"
    assert Site(load_inventory(tmp_path), [], "refuse").generated(NAME) == made
