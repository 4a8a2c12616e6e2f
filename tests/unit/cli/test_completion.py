"""Shell completion as docs/guides/output-and-ci.md tells, with the keys pressed in a real bash."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.unit.terminals import terminal

BIN = Path(sys.executable).parent
BASH = f"""
import os
os.environ["PATH"] = {str(BIN)!r} + ":" + os.environ["PATH"]
os.environ["PS1"] = "$ "
os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
"""


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("fab conf", "fab configure-client"),
        ("fab -H vm1 undep", "fab -H vm1 undeploy"),
        ("fab deploy --any", "fab deploy --any-errors-fatal"),
        ("fab deploy --check --jun", "fab deploy --check --junit"),
        ("fab history --la", "fab history --last"),
        ("encamp ini", "encamp init"),
        ("encamp -H vm1 deploy --any", "encamp -H vm1 deploy --any-errors-fatal"),
    ],
)
def test_tab_completes_tasks_and_their_options(tmp_path: Path, typed: str, completed: str) -> None:
    with terminal(BASH, HISTFILE=str(tmp_path / "history")) as shown:
        shown.type(f"source <({typed.split()[0]} --print-completion-script bash); echo rea''dy\n")
        shown.until(lambda lines: lines[-2:] == ["ready", "$"])
        shown.type(f"{typed}\t")
        shown.until(lambda lines: lines[-1].removeprefix("$ ").startswith(completed))
        shown.type("\x15exit\n")
        assert shown.end() == 0
