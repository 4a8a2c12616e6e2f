"""`encamp init`: what it makes, and that it takes nothing away."""

from __future__ import annotations

from pathlib import Path

import pytest

import encamp
from encamp.commands.init import FILES, init
from encamp.errors import UsageError
from tests.checkout import CHECKOUT


def files_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_site_is_five_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "new" / "site"
    assert init(str(site)) == 0
    found = files_of(site)
    assert found.keys() == set(FILES)
    assert f"version: {encamp.__version__}" in found["fabric.yaml"]
    assert {"secrets/", ".encamp/"} <= set(found[".gitignore"].splitlines())
    said = capsys.readouterr().out
    assert str(site) in said and f"cd {site}" in said and "encamp deploy" in said


@pytest.mark.parametrize("name", ["fabfile.py", "inventory/hosts.yml", "inventory/group_vars/all.yml"])
def test_a_site_begins_as_the_checkout_does(name: str) -> None:
    assert (CHECKOUT / "encamp" / "skeleton" / name).read_text() == (CHECKOUT / name).read_text()


def test_the_checkouts_configuration_is_that_of_a_site_without_the_mark() -> None:
    ours = (CHECKOUT / "fabric.yaml").read_text()
    assert (CHECKOUT / "encamp" / "skeleton" / "fabric.yaml").read_text().startswith(ours)


def test_an_option_is_no_folder() -> None:
    with pytest.raises(UsageError, match="init has no option --help"):
        init("--help")


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("inventory/")])
def test_an_existing_file_is_kept_and_no_other_is_made(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"already has {name}"):
        init(str(tmp_path))
    assert files_of(tmp_path) == {name: "mine"}


@pytest.mark.parametrize("name", ["inventory/hosts.yml", "inventory/hosts", "inventory/group_vars/all.yml"])
def test_an_inventory_that_is_there_is_used_as_it_is(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    assert init(str(tmp_path)) == 0
    made = {file for file in FILES if not file.startswith("inventory/")}
    assert files_of(tmp_path).keys() == {name, *made} and files_of(tmp_path)[name] == "mine"
    said = capsys.readouterr().out
    assert "was there and is used as it is" in said and "hosts.yml  " not in said


def test_other_files_in_the_folder_are_fine(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert init(str(tmp_path)) == 0
    assert files_of(tmp_path).keys() == {*FILES, "README.md"}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Not a directory"):
        init(str(tmp_path / "file" / "site"))
