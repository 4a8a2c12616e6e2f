"""What is released: whole, and nothing beside it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

import encamp
from tests import wheels
from tests.checkout import CHECKOUT

FILES = ("encamp/**/*.py", "encamp/skeleton/**/*", "roles/**/*.py", "roles/locks/*.txt", "templates/**/*")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_every_file_that_a_run_needs_and_no_other(wheel: Path) -> None:
    found = {path for pattern in FILES for path in CHECKOUT.glob(pattern) if path.is_file() and path.suffix != ".pyc"}
    names = {path.relative_to(CHECKOUT).as_posix() for path in found}
    wanted = {f"encamp/{name}" if name.startswith("templates/") else name for name in names}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.startswith(f"encamp-{encamp.__version__}.dist-info/")}
        assert held == wanted
        for name in names:
            if name.startswith("templates/"):
                assert archive.read(f"encamp/{name}") == (CHECKOUT / name).read_bytes()


def test_the_sdist_holds_no_inventory_of_anybody(wheel: Path) -> None:
    with tarfile.open(wheel.with_name(f"encamp-{encamp.__version__}.tar.gz")) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert "CHANGELOG.md" in names
    assert [name for name in names if name.startswith(("inventory/", ".")) or "/lab/" in name] == []


def test_checksums_are_those_of_both_files(wheel: Path) -> None:
    lines = (wheel.parent / "SHA256SUMS").read_text().splitlines()
    told = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = [wheel, *wheel.parent.glob("*.tar.gz")]
    assert told == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("heading", ["## 9.9.9 (2026-01-01)", f"## {encamp.__version__}", ""])
def test_nothing_is_built_of_a_version_that_the_changelog_does_not_begin_with(tmp_path: Path, heading: str) -> None:
    for name in (".ci", "encamp"):
        (tmp_path / name).mkdir()
    shutil.copy(CHECKOUT / ".ci" / "dist", tmp_path / ".ci")
    shutil.copy(CHECKOUT / "encamp" / "__init__.py", tmp_path / "encamp")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    done = subprocess.run([tmp_path / ".ci" / "dist"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "CHANGELOG.md begins with" in done.stderr
    assert not (tmp_path / "dist").exists()
