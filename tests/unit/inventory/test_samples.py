"""Inventories of the shapes that people have, and what Ansible makes of each: encamp makes the same of it.

A sample is ``samples/NAME.yaml`` (its files and sources), and ``samples/NAME.json`` what ``ansible-inventory --list``
printed for it. Where Ansible is installed it is asked again, so that neither file can be wrong in silence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from encamp.inventory import listing
from encamp.inventory.forms.program import ansible_inventory
from encamp.inventory.load import Inventory, load_inventory
from encamp.inventory.variables import Variables
from tests import trees

FOLDER = Path(__file__).with_name("samples")
SAMPLES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
#: What marks the place where a sample lies.
PLACE = "PLACE"


class Sample:
    """A sample, written below a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.spec: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
        trees.write(folder, self.spec["files"])
        for file in self.spec.get("executable", ()):
            (folder / file).chmod(0o755)
        for file in self.spec.get("latin", ()):
            text = (folder / file).read_text("utf-8")
            (folder / file).write_bytes(text.encode().decode("unicode_escape").encode("latin-1"))

    @property
    def sources(self) -> list[str]:
        given = self.spec["sources"]
        return [source if "," in source else str(self.folder / source) for source in given]

    @property
    def expected(self) -> dict[str, Any]:
        text = (FOLDER / f"{self.name}.json").read_text("utf-8")
        found: dict[str, Any] = json.loads(text.replace(PLACE, str(self.folder)))
        return found


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    return Sample(request.param, tmp_path)


def raw(loaded: Inventory) -> dict[str, dict[str, Any]]:
    """Variables as they are written, as Ansible lists them."""
    found = {}
    for name, host in loaded.hosts.items():
        variables = host.variables
        assert isinstance(variables, Variables)
        found[name] = {key: variables.raw(key).data for key in variables}
    return {name: values for name, values in found.items() if values}


def groups(listed: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in listed.items() if name != "_meta"}


def test_encamp_finds_what_ansible_found(sample: Sample) -> None:
    if sample.spec.get("needs_ansible") and ansible_inventory() is None:
        pytest.skip("this form is read by Ansible itself, which is not installed")
    loaded = load_inventory(sample.sources)
    assert groups(json.loads(listing.as_json(loaded))) == groups(sample.expected)
    assert raw(loaded) == sample.expected["_meta"]["hostvars"]


def asked(sample: Sample) -> dict[str, Any]:
    """What the real Ansible says, with no configuration of this machine's."""
    program = ansible_inventory()
    assert program is not None
    options = [word for source in sample.sources for word in ("-i", source)]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": "/tmp/.a",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
    }
    done = subprocess.run(
        [program, *options, "--list"], capture_output=True, text=True, cwd="/", env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout, object_hook=unmarked)
    found["_meta"].pop("profile", None)
    return found


def unmarked(data: dict[str, Any]) -> Any:
    """Data without the mark that newer releases of Ansible put on texts that they would not take as templates."""
    return data["__ansible_unsafe"] if list(data) == ["__ansible_unsafe"] else data


@pytest.mark.skipif(ansible_inventory() is None, reason="Ansible is not installed")
def test_ansible_still_finds_that(sample: Sample) -> None:
    assert asked(sample) == sample.expected


def renew() -> None:
    """Write what Ansible says of every sample anew: ``python -m tests.unit.inventory.test_samples``."""
    import tempfile

    for name in SAMPLES:
        with tempfile.TemporaryDirectory() as folder:
            found = json.dumps(asked(Sample(name, Path(folder))), indent=1, sort_keys=True)
            (FOLDER / f"{name}.json").write_text(found.replace(folder, PLACE) + "\n", "utf-8")


if __name__ == "__main__":
    renew()
