"""Whose home the agent works in, as every program of that user finds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from encamp.agent import files
from encamp.agent.commands import execute
from encamp.resources.base import Failure

ROOT = os.geteuid() == 0
PROGRAM = """
import json, os, pwd, sys
from encamp.agent import files
from encamp.agent.commands import execute
from encamp.resources.base import Failure
user = int(sys.argv[1])
os.setgroups([]); os.setgid(user); os.setuid(user)
try: found = files.own_home()
except Failure as failure: found = failure.reason
child = execute(["/bin/sh", "-c", "echo $HOME"], "", None, "", 5, "/").out.strip() if found[0] == "/" else ""
print(json.dumps([found, child]))
"""


def found_as(user: int, home: str) -> Any:
    """Home, and that of a child, for a user by number."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(user)], env={"HOME": home}, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that other users reach."""
    for folder in [tmp_path, *tmp_path.parents][:-2]:
        if folder.owner() == files.stat(str(tmp_path)).owner:  # type: ignore[union-attr]
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


def test_own_home_is_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", f"{tmp_path}/")
    assert files.own_home() == str(tmp_path)
    assert execute(["/bin/sh", "-c", "echo $HOME"], "", None, "", 5, "/").out.strip() == str(tmp_path)


@pytest.mark.parametrize("named", ["", "relative", "/nonexistent/home"])
def test_a_home_that_is_none_is_not_used(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("HOME", named)
    assert files.own_home() == os.path.expanduser("~" + files.stat(f"/proc/{os.getpid()}").owner)  # type: ignore[union-attr]


@pytest.mark.skipif(not ROOT, reason="becomes another user")
def test_a_home_that_sudo_kept_is_not_roots(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(place, 65534, -1)
    monkeypatch.setenv("HOME", str(place))
    assert files.own_home() == "/root"


@pytest.mark.skipif(not ROOT, reason="becomes another user")
def test_a_home_that_belongs_to_nobody_known_is_used_where_it_can_be(place: Path) -> None:
    """A number without an account, and a home that is mounted with another owner."""
    home = place / "home"
    home.mkdir()
    home.chmod(0o777)
    assert found_as(54321, str(home)) == [str(home), str(home)]
    home.chmod(0o755)
    assert found_as(54321, str(home))[0].startswith("user 54321 has no home")


def test_a_user_that_does_not_exist_is_named() -> None:
    with pytest.raises(Failure, match="user nobody-here does not exist"):
        execute(["true"], "", None, "nobody-here", 5, "/")
