"""A new role is its folder and its entry in the registry: tried with a copy of the checkout that has one more."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT

ROLE = '''
from __future__ import annotations

from encamp.resources.files.absent import Absent
from encamp.resources.files.file import File
from encamp.settings.declare import setting
from encamp.shared.record import record
from roles.metrics.kinds.port_file import PortFile
from roles.role import Role


@record
class Settings:
    """The exporter of metrics."""

    metrics_port: int = setting(9100, "Port of the exporter.")


def resources(host, site):
    yield File("/etc/metrics.conf", site.templates.render("metrics/metrics.conf.j2", settings=host.settings(Settings)))
    yield PortFile("/run/metrics.port", host.settings(Settings).metrics_port)


def undeploy(host, instance):
    yield Absent("/etc/metrics.conf")


ROLE = Role(
    "metrics",
    "metrics",
    settings=(Settings,),
    owners="metrics",
    applies_to=lambda host: host.in_group("metrics"),
    resources=resources,
    undeploy=undeploy,
)
'''
KIND = '''
from __future__ import annotations

from encamp.resources.base import Resource, kind


@kind
class PortFile(Resource):
    """A file with a port."""

    path: str
    port: int
'''
SITE = """\
all:
  children:
    servers:
      hosts:
        vm1: {ansible_host: 192.0.2.7, metrics_port: 9}
    metrics:
      hosts:
        vm2: {ansible_host: 192.0.2.8, metrics_port: 9200}
"""
PROGRAM = """
import json, sys
from pathlib import Path
from encamp.commands.deploy import prepare
from encamp.inventory.load import load_inventory
from encamp.planning.job import Job, RunIdentity
from encamp.settings.check import check_hosts
from encamp.shared.wire import BlobStore
from encamp.site import Site
from roles import stages, undeploy

site = Site(load_inventory(Path(sys.argv[1])), [])
host = site.host("vm2")
check_hosts([host.given_settings], stages.SETTINGS)
(plan,) = prepare(site, [host], verify=True).plans.values()
print(json.dumps({
    "stages": [stage.name for stage in stages.taking_part(host)],
    "ids": [step.resource.id for step in plan.steps],
    "text": plan.steps[0].resource.content,
    "job": json.dumps(Job(plan, RunIdentity("x", "test")).wire(BlobStore())),
    "warnings": stages.warnings(site.host("vm1"), site),
    "removed": [str(getattr(item, "resource", item)) for item in undeploy.resources(host, "default")],
}))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The checkout with the role ``metrics``: a folder, a template, and its entry in the registry."""
    for name in ("encamp", "roles", "templates"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    kinds = tmp_path / "roles/metrics/kinds"
    kinds.mkdir(parents=True)
    for folder in (kinds, kinds.parent):
        (folder / "__init__.py").write_text("")
    (kinds / "port_file.py").write_text(KIND)
    (kinds.parent / "role.py").write_text(ROLE)
    (tmp_path / "templates/metrics").mkdir()
    (tmp_path / "templates/metrics/metrics.conf.j2").write_text("port {{ settings.metrics_port }}\n")
    registry = tmp_path / "roles/registry.py"
    text = registry.read_text()
    assert text.count("    CLIENT,\n") == text.count("\nfrom roles.role import Role\n") == 1
    text = text.replace("    CLIENT,\n", "    CLIENT,\n    METRICS,\n")
    registry.write_text(
        text.replace("\nfrom roles.role", "\nfrom roles.metrics.role import ROLE as METRICS\nfrom roles.role")
    )
    return tmp_path


def test_a_new_role_is_a_folder_and_an_entry(copy: Path) -> None:
    site = copy / "site"
    site.mkdir()
    (site / "hosts.yml").write_text(SITE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(site)], cwd=copy, capture_output=True, text=True, env={"PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["stages"] == ["metrics"]
    assert found["ids"] == ["File:/etc/metrics.conf", "PortFile:/run/metrics.port"]
    assert found["text"] == "port 9200\n"
    assert '"roles.metrics.kinds.port_file:PortFile"' in found["job"]
    (warning,) = found["warnings"]
    assert "metrics_port has no effect: it is for metrics, and vm1 is none of them" in warning
    assert any("/etc/metrics.conf" in item for item in found["removed"])
