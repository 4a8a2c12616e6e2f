"""The shape of the tree: where packages belong, prefixes do not stand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT

MODULES = 24
SIBLINGS = 4


FOLDERS = sorted({path.parent for top in ("encamp", "roles", "tests/lab") for path in (CHECKOUT / top).rglob("*.py")})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(CHECKOUT)))
def test_a_folder_can_be_read_at_a_glance(folder: Path) -> None:
    names = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    assert len(names) <= MODULES
    prefixes = Counter(name.partition("_")[0] for name in names)
    assert not [prefix for prefix, count in prefixes.items() if count >= SIBLINGS]
    assert folder.name not in names or folder.name == "lab"
