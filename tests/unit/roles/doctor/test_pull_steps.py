"""What deployments need of a worker's host, and whether it is there."""

from __future__ import annotations

from typing import Any

import pytest

from roles.doctor.kinds.pull_steps import examine
from tests.unit.resources.case_host import CaseHost

STEPS = "prefect.deployments.steps"
CLONE = {f"{STEPS}.git_clone": {"repository": "https://git.example.com/flows.git"}}
CLONE_SSH = {f"{STEPS}.git_clone": {"id": "c", "repository": "git@git.example.com:flows.git"}}
INSTALL = {f"{STEPS}.pip_install_requirements": {"directory": "{{ c.directory }}"}}
PYTHON = "/opt/prefect/envs/a/bin/python"
PIP = "/opt/prefect/envs/a/lib/python3.11/site-packages/pip/__init__.py"


def found(*steps: Any, files: Any = (), git: bool = True, environment: Any = None) -> Any:
    host: Any = CaseHost(
        {
            "files": {"/opt/prefect/envs/a/lib/python3.11/site-packages/x.py": "", **dict.fromkeys(files, "")},
            "programs": {"git": "/usr/bin/git"} if git else {},
        }
    )
    deployments = [{"name": "nightly", "pull_steps": list(steps)}, {"name": "other", "pull_steps": None}]
    return examine(host, deployments, PYTHON, "/var/lib/prefect/w", environment or {})


@pytest.mark.parametrize(
    ("steps", "more", "status", "fix"),
    [
        ((CLONE,), {"git": False}, "FAIL", "system_packages: [git]"),
        ((CLONE,), {}, "ok", ""),
        ((CLONE, INSTALL), {}, "FAIL", "pip: true"),
        ((CLONE, INSTALL), {"files": (PIP,)}, "ok", ""),
        ((CLONE_SSH,), {}, "warn", "known_hosts:"),
        ((CLONE_SSH,), {"files": ("/etc/ssh/ssh_known_hosts",)}, "ok", ""),
        ((CLONE_SSH,), {"environment": {"GIT_SSH_COMMAND": "ssh -o UserKnownHostsFile=/x"}}, "ok", ""),
    ],
)
def test_what_is_missing_is_named_with_its_setting(steps: Any, more: Any, status: str, fix: str) -> None:
    finding = found(*steps, **more)
    assert finding.status == status and fix in finding.fix
    assert status == "ok" or "nightly" in finding.text


def test_deployments_that_need_nothing_are_not_mentioned() -> None:
    assert found({f"{STEPS}.set_working_directory": {"directory": "/srv"}}, git=False) is None
