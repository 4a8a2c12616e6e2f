"""Kinds in packages of packages: from a folder of its own to a host's Python, and what they import when needed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import roles
from encamp.resources.base import Resource
from tests import trees
from tests.agent.conftest import Converge, pythons, statuses

MARKER = """
from __future__ import annotations
from roles.mine.kinds import deep
from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System


@kind
class Marker(Resource):
    path: str

    def check(self, host: Reader) -> list[Change]:
        from roles.other.kinds.late import TEXT

        return [] if host.read(self.path) == TEXT + deep.END else [Change("text")]

    def apply(self, host: System, changes: list[Change]) -> None:
        from roles.other.kinds.late import TEXT

        host.write(self.path, TEXT + deep.END)
"""


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Resource]]:
    """A kind of ``roles.mine``, which needs a module of a role that no step of the job is of."""
    texts = {
        "mine/__init__.py": "CONTROLLER = 1\n",
        "mine/kinds/__init__.py": "",
        "mine/kinds/marker.py": MARKER,
        "mine/kinds/deep/__init__.py": "END = b'!'\n",
        "other/__init__.py": "raise ImportError('of the controller')\n",
        "other/kinds/__init__.py": "",
        "other/kinds/late.py": "TEXT = b'late'\n",
    }
    mine = trees.write(tmp_path / "roles", texts)
    monkeypatch.setattr(roles, "__path__", [*roles.__path__, str(mine)])
    yield importlib.import_module("roles.mine.kinds.marker").Marker
    for name in [name for name in sys.modules if name.startswith("roles.mine")]:
        del sys.modules[name]
    del roles.mine  # type: ignore[attr-defined]


@pytest.mark.parametrize("python", pythons())
def test_a_nested_kind_runs_on_every_python(
    converge: Converge, marker: type[Resource], python: str, tmp_path: Path
) -> None:
    item = marker(str(tmp_path / "file"))  # type: ignore[call-arg]
    found = converge(item, python=python)
    assert statuses(found) == {item.id: "changed"}, found
    assert (tmp_path / "file").read_bytes() == b"late!"
    assert statuses(converge(item, check=True, python=python)) == {item.id: "ok"}
