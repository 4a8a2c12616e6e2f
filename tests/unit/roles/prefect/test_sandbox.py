"""Units on a host that gives them no mount namespaces."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from encamp.resources.systemd.unit import SystemdUnit
from tests.unit.roles.test_stages import planned

#: What systemd makes a mount namespace for, or one of host names (systemd.exec(5)).
NAMESPACED = re.compile(
    r"^(?:Private\w+|Protect\w+|(?:ReadWrite|ReadOnly|Inaccessible|Exec|NoExec)Paths|Bind\w+|TemporaryFileSystem|"
    r"RootDirectory|\w+Directory(?<!WorkingDirectory)|LoadCredential|ProcSubset)=",
    re.MULTILINE,
)


@pytest.mark.parametrize(
    "host",
    [
        "database: sqlite, work_pool: etl",
        "database: postgres, backup: {directory: /backup}",
        "runtime: compose, prefect_image: 'x:1', postgres_image: 'y:1'",
    ],
)
def test_no_unit_asks_for_one_and_the_rest_of_its_sandbox_stays(tmp_path: Path, host: str) -> None:
    units = {}
    for name, value in (("with", "true"), ("without", "false")):
        (tmp_path / name).mkdir()
        values = f"{{ansible_host: 192.0.2.7, {host}, mount_namespaces: {value}}}"
        plan = planned(tmp_path / name, {"vm1": values})[1]
        found = [step.resource for step in plan.steps if isinstance(step.resource, SystemdUnit)]
        units[name] = {unit.name: str(unit.content) for unit in found if "[Service]" in str(unit.content)}
    assert units["with"].keys() == units["without"].keys() and units["with"]
    for name, text in units["without"].items():
        assert not NAMESPACED.findall(text), name
        assert NAMESPACED.search(units["with"][name]), name
        assert "NoNewPrivileges=yes" in text, name
