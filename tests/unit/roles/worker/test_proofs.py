"""Which flow run verifies the workers of a host, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roles.proof.kinds.flow_run import VerificationRun
from roles.worker import role
from tests.unit.roles.test_stages import planned

OLD = "prefect_version: '2.20.26'"
NO_PIP = "pip_install_requirements: flow runs of {} may not install packages; `pip: true` lets them"


def of_deploy(tmp_path: Path, text: str) -> tuple[VerificationRun, list[VerificationRun]]:
    """The verification of a deploy, and those of ``fab verify``."""
    site, plan = planned(tmp_path, {"vm1": f"{{ansible_host: 192.0.2.7, database: sqlite, {text}}}"})
    runs = [step.resource for step in plan.steps if isinstance(step.resource, VerificationRun)]
    (own,) = (run for run in runs if not run.name.startswith("server"))
    each: list[Any] = role.verifications(site.host("vm1").instances[0], site)
    return own, each


@pytest.mark.parametrize(
    ("text", "name", "clone", "installs", "unproven"),
    [
        ("work_pool: etl", "worker default etl", True, False, [NO_PIP.format("etl")]),
        ("workers: [{pool: etl, pip: true}]", "worker default etl", True, True, []),
        (
            f"{OLD}, workers: [{{pool: etl, pip: true}}]",
            "worker default etl",
            False,
            True,
            ["git_clone: Prefect 2.20.26 clones no local repository, 3.9 does"],
        ),
        (
            "workers: [{pool: etl, system_packages: [], pip: true}]",
            "worker default etl",
            False,
            True,
            ["git_clone: system_packages of etl has no git"],
        ),
        (
            "workers: [{pool: a}, {pool: b, pip: true}, {pool: c, count: 2}]",
            "worker default b",
            True,
            True,
            [
                "a flow run on prefect-worker-a, prefect-worker-c-1, prefect-worker-c-2: a deploy tries one worker, "
                "`fab -H vm1 verify` each"
            ],
        ),
        (
            f"{OLD}, agents: [{{queues: [a]}}]",
            "agent default a",
            False,
            False,
            ["pull steps that clone and install: agents have none"],
        ),
    ],
)
def test_the_worker_that_shows_most_is_tried_and_the_rest_is_said(
    tmp_path: Path, text: str, name: str, clone: bool, installs: bool, unproven: list[str]
) -> None:
    run, _ = of_deploy(tmp_path, text)
    assert (run.name, run.clone, bool(run.requirements), list(run.unproven)) == (name, clone, installs, unproven)
    assert not installs or run.requirements.startswith("/var/lib/prefect/default-pip.worker-")


def test_verify_tries_each_entry_once_with_all_its_workers(tmp_path: Path) -> None:
    _, runs = of_deploy(tmp_path, "workers: [{pool: a}, {pool: b, pip: true}, {pool: c, count: 2}]")
    assert [(run.work_pool, run.workers, bool(run.requirements)) for run in runs] == [
        ("a", ("vm1",), False),
        ("b", ("vm1",), True),
        ("c", ("vm1-1", "vm1-2"), False),
    ]
    assert not any("a flow run on" in line for run in runs for line in run.unproven)
