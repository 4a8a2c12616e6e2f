"""Integration tests deploy to real Debian hosts with systemd, in Docker; without Docker they fail."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

from copies import start_copies
from deployed import CLIENT, POSTGRES
from layout import Lab
from live import LiveLab, free_slot
from preparing import prepare
from shell import LabError

from tests.integration.looks import succeeded

#: The files that take longest, in this order: begun last, each would keep the others' workers waiting.
LONGEST = (
    "generations",
    "debian_releases",
    "full_disk",
    "debian_releases",
    "cut_off",
    "sweep",
    "backups",
    "door",
    "rotation",
    "databases",
    "workers",
    "access",
    "doctor",
    "secrets",
    "compose",
    "client_modes",
    "adopt",
    "tls",
    "hardened",
    "rhel",
    "instances",
    "reboots",
    "client",
    "connections",
    "wheel",
    "saved_plan",
    "deploy",
    "firewalls",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, so that ``-m "not integration"`` leaves them out, and put them first."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.integration)
    order = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    ours.sort(key=lambda item: order.get(item.path.name, len(order)))
    rest = set(ours)
    items[:] = ours + [item for item in items if item not in rest]


@pytest.fixture(scope="session")
def lab_slot() -> Iterator[Lab]:
    """The lab of this test run, ready to start hosts; Docker is installed and started for it where it can be."""
    try:
        with free_slot() as slot:
            prepare(slot, [])
            yield slot
    except LabError as error:
        pytest.fail(f"integration tests need Docker: {error}", pytrace=False)


@pytest.fixture(scope="session")
def docker_compose_command(lab_slot: Lab) -> str:
    """``docker compose`` or ``docker-compose``, with the variables of this run."""
    return shlex.join(lab_slot.compose[: lab_slot.compose.index("-f")])


@pytest.fixture(scope="session")
def docker_compose_file(lab_slot: Lab) -> list[str]:
    """The lab's Compose files that fit this machine."""
    options = lab_slot.compose
    return [value for option, value in zip(options, options[1:]) if option == "-f"]


@pytest.fixture(scope="session")
def docker_compose_project_name(lab_slot: Lab) -> str:
    """A project of this run's own."""
    return lab_slot.project


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    """Hosts start when a test asks for them; here only what a killed run left behind is removed."""
    return ["down --timeout 10"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    """Remove the hosts, keep their download caches. ENCAMP_TEST_KEEP=1 leaves the hosts up to look at."""
    return [] if os.environ.get("ENCAMP_TEST_KEEP") else ["down --timeout 10"]


@pytest.fixture(scope="session")
def lab(lab_slot: Lab, docker_services: object, tmp_path_factory: pytest.TempPathFactory) -> LiveLab:
    """The hosts of this test run."""
    return LiveLab(lab_slot, tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module", autouse=True)
def own_hosts(lab: LiveLab) -> Iterator[None]:
    """Each file of tests begins without hosts: a host that it names is fresh."""
    lab.clear()
    yield
    if not os.environ.get("ENCAMP_TEST_KEEP"):
        lab.clear()


@pytest.fixture(scope="module")
def server(lab: LiveLab) -> LiveLab:
    """The lab, with a healthy server on vm1, which is a copy: Prefect with Postgres. laptop1 has Prefect, too."""
    start_copies(lab, {"vm1": POSTGRES, "laptop1": CLIENT})
    succeeded(lab.fab("-H", "vm1", "deploy"))
    return lab
