"""Which files run once more after a failure in continuous integration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import failed_files

HOSTS = [f"tests/integration/test_{name}.py::test_it" for name in ("tls", "access", "tls", "adopt", "audit", "cloud")]


def recorded(root: Path, tests: list[str]) -> None:
    (root / ".pytest_cache/v/cache").mkdir(parents=True)
    (root / ".pytest_cache/v/cache/lastfailed").write_text(json.dumps(dict.fromkeys(tests, True)), "utf-8")


@pytest.mark.parametrize(
    ("tests", "code", "printed"),
    [
        (HOSTS[:3], 0, "tests/integration/test_access.py tests/integration/test_tls.py\n"),
        (HOSTS, 1, ""),
        ([*HOSTS[:1], "tests/unit/test_site.py::test_it"], 1, ""),
        ([], 1, ""),
    ],
)
def test_a_few_files_of_hosts_run_again_and_nothing_else(
    tests: list[str],
    code: int,
    printed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorded(tmp_path, tests)
    monkeypatch.setattr(failed_files, "ROOT", tmp_path)
    assert failed_files.main() == code
    assert capsys.readouterr().out == printed
