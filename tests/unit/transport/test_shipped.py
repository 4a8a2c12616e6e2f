"""What may ship: nested packages, roles from elsewhere, and nothing of the controller."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import encamp
import roles
from encamp.transport import bundle, shipped
from tests import trees
from tests.agent.conftest import oldest_python

ROOT = Path(encamp.__file__).parent.parent

#: Each module alone, from the sources that would be sent for it, as stage 0's importer has them.
IMPORT_EACH = """
import importlib, importlib.abc, importlib.util, json, sys
class Memory(importlib.abc.InspectLoader):
    def find_spec(self, name, path=None, target=None):
        if name in src: return importlib.util.spec_from_loader(name, self, is_package=src[name][0])
    def get_source(self, name): return src[name][1]
    def is_package(self, name): return src[name][0]
sys.meta_path.insert(0, Memory())
for wanted, src in json.load(sys.stdin).items():
    importlib.import_module(wanted)
    for name in [name for name in sys.modules if name in src]: del sys.modules[name]
    print(wanted)
"""


def modules(*packages: str) -> list[str]:
    """The modules and packages in some packages, by name."""
    paths = [path for package in packages for path, _ in shipped.files(package)]
    return [path[:-3].replace("/", ".").removesuffix(".__init__") for path in paths]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Roles of another folder: ``roles.mine``, whose kinds are in packages of packages."""
    texts = {
        "mine/role.py": "SECRET_OF_THE_CONTROLLER = 1\n",
        "mine/kinds/__init__.py": "",
        "mine/kinds/report.py": "from roles.mine.kinds import deep\nfrom roles.mine.kinds.deep import (\n    leaf)\n",
        "mine/kinds/deep/__init__.py": "DEPTH = 2\n",
        "mine/kinds/deep/leaf.py": "from encamp.resources.base import Change\n",
        "left/kinds/__pycache__/old.pyc": "",
    }
    mine = trees.write(tmp_path / "roles", texts)
    monkeypatch.setattr(roles, "__path__", [*roles.__path__, str(mine)])
    return mine


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A second checkout, with a package below ``encamp.resources``."""
    for name in ("encamp", "roles"):
        shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__", "cache"))
    nested = tmp_path / "copy/encamp/resources/wall"
    nested.mkdir()
    (nested / "__init__.py").touch()
    (nested / "ufw.py").write_text("PORT = 1\n")
    return tmp_path / "copy"


def look(checkout: Path) -> tuple[str, str, str]:
    """A checkout's digest, the hash of what a job of a nested module is sent as, and that of another job."""
    code = (
        "from encamp.transport import bundle\n"
        "def key(kind): return bundle.pack({'steps': [{'kind': kind, 'fields': {}}]}).key\n"
        "print(bundle.digest(), key('encamp.resources.wall.ufw:Rule'), key('encamp.resources.files.file:File'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, env={"PYTHONPATH": str(checkout)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    digest, nested, other = done.stdout.split()
    return digest, nested, other


def test_an_edit_in_a_nested_package_is_seen_and_sent(copy: Path) -> None:
    first = look(copy)
    assert look(copy) == first
    (copy / "encamp/resources/wall/ufw.py").write_text("PORT = 22\n")
    second = look(copy)
    assert (second[0] != first[0], second[1] != first[1], second[2] == first[2]) == (True, True, True)
    (copy / "encamp/resources/wall/ufw.py").rename(copy / "encamp/resources/ufw.py")
    (copy / "encamp/resources/wall/ufw.py").touch()
    assert look(copy)[0] not in (first[0], second[0])


def test_an_edit_of_what_is_asked_for_later_is_seen(copy: Path) -> None:
    """A host keeps it under the same key as what was sent at once."""
    (copy / "encamp/resources/wall/ufw.py").write_text("def f():\n    from encamp.resources.wall import late\n")
    (copy / "encamp/resources/wall/late.py").write_text("PORT = 1\n")
    first = look(copy)
    (copy / "encamp/resources/wall/late.py").write_text("PORT = 2\n")
    second = look(copy)
    assert (second[1] != first[1], second[2] == first[2]) == (True, True)


def test_the_digest_is_of_the_sources_wherever_they_lie(copy: Path) -> None:
    shutil.rmtree(copy / "encamp/resources/wall")
    code = [sys.executable, "-c", "from encamp.transport import bundle; print(bundle.digest())"]
    there = subprocess.run(code, cwd=copy, env={"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == bundle.digest()


def test_roles_from_elsewhere_bring_their_kinds(site: Path) -> None:
    assert "roles.mine.kinds" in shipped.packages() and "roles.left.kinds" not in shipped.packages()
    assert set(modules("roles.mine.kinds")) == {
        "roles.mine.kinds",
        "roles.mine.kinds.report",
        "roles.mine.kinds.deep",
        "roles.mine.kinds.deep.leaf",
    }


def test_an_import_of_a_package_or_a_module_from_a_package_is_followed(site: Path) -> None:
    found = bundle.on_demand("roles.mine.kinds.report")
    assert found["roles.mine.kinds.deep"] == (True, "DEPTH = 2\n")
    assert {"roles.mine.kinds.deep.leaf", "encamp.resources.base"} <= set(found)


def test_packages_that_lead_to_what_ships_are_empty_on_a_host(site: Path) -> None:
    (site / "mine/__init__.py").write_text("SECRET_OF_THE_CONTROLLER = 1\n")
    found = bundle.on_demand("roles.mine.kinds.report")
    assert {found[name] for name in ("encamp", "roles", "roles.mine")} == {(True, "")}
    assert bundle.on_demand("roles.mine") == dict.fromkeys(("roles", "roles.mine"), (True, ""))


def test_nothing_of_the_controller_is_sent_on_demand(site: Path) -> None:
    own = [name for name in modules("encamp", "roles") if not shipped.ships(name)]
    assert len(own) > 100
    for name in [*own, "encamp.agentx", "encamp.agent_session", "roles.mine.role", "tests", "os", ""]:
        assert not any(source for _, source in bundle.on_demand(name).values()), name
        assert shipped.leads_to(name) or bundle.on_demand(name) == {}, name


def test_every_folder_that_ships_is_a_package() -> None:
    folders = {Path(file.path).parent for package in shipped.packages() for _, file in shipped.files(package)}
    assert len(folders) >= len(shipped.packages())
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_all_that_ships_imports_on_a_bare_python_of_the_oldest_version() -> None:
    """Each module with what would be sent for it, and nothing else."""
    wanted = modules(*shipped.packages())
    closures = {name: bundle.sources([name], ["tomlkit"]) for name in wanted}
    done = subprocess.run(
        [oldest_python(), "-I", "-S", "-c", IMPORT_EACH], input=json.dumps(closures), capture_output=True, text=True
    )
    assert done.stdout.split() == wanted, done.stderr
