"""Which lines of a journal are shown with a failure."""

from __future__ import annotations

from typing import Any

from roles.proof.kinds.journal import SHOWN, errors_since
from tests.unit.resources.systemd.double import Answers

#: As a worker of 3.9.1 logs a requirements step that fails.
LOG = """\
06:50:11.900 | INFO    | Flow run 'auspicious-bee' - Executing deployment step: pip_install_requirements
Traceback (most recent call last):
  File "/opt/prefect/x/steps/core.py", line 150, in run_steps
    raise RuntimeError("Error in a quoted line")
RuntimeError: pip_install_requirements failed with error code 1: ERROR: [Errno 13] Permission denied: '/var/lib/x'
prefect.deployments.steps.core.StepExecutionError: Encountered error while running the step
RuntimeError: pip_install_requirements failed with error code 1: ERROR: [Errno 13] Permission denied: '/var/lib/x'
06:50:12.153 | ERROR   | prefect.runner - Process exited with status code: 1
"""


def shown(log: str) -> list[str]:
    host: Any = Answers(outputs={"journalctl": "\n".join(reversed(log.splitlines()))})  # as with --reverse
    return errors_since(host, "prefect-worker-etl.service", 1_800_000_000.0)


def test_the_first_errors_are_shown_once_and_without_what_a_traceback_quotes() -> None:
    found = shown(LOG)
    assert [line.split(":")[0] for line in found] == [
        "RuntimeError",
        "prefect.deployments.steps.core.StepExecutionError",
        "06",
    ]
    assert "Permission denied" in found[0]


def test_a_long_log_shows_its_beginning() -> None:
    found = shown("\n".join(f"ValueError: {number}" for number in range(100)))
    assert found[0] == "ValueError: 0" and len(found) == SHOWN
