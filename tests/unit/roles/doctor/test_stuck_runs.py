"""Which flow runs have lost what was to carry them out; test_doctor makes such runs on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from roles.doctor.kinds.stuck_runs import Pool

TAKEN_BY_A = {"labels": {"prefect.worker.name": "a"}}


@pytest.mark.parametrize(
    ("pool", "run", "lost"),
    [
        (Pool("process", ("a",)), {"state_type": "RUNNING", **TAKEN_BY_A}, False),
        (Pool("process", ("b",)), {"state_type": "RUNNING", **TAKEN_BY_A}, True),
        (Pool("process", ("b",)), {"state_type": "RUNNING", "labels": None}, False),
        (Pool("process", ()), {"state_type": "RUNNING"}, True),
        (Pool("process", ()), {"state_type": "CANCELLING"}, True),
        (Pool("docker", ()), {"state_type": "RUNNING"}, False),
        (Pool("docker", ()), {"state_type": "PENDING"}, True),
        (Pool("prefect-agent", ()), {"state_type": "PENDING"}, False),
        (Pool("process", None), {"state_type": "RUNNING"}, False),
    ],
)
def test_a_run_is_lost_with_its_worker(pool: Pool, run: dict[str, Any], lost: bool) -> None:
    assert pool.has_lost(run) is lost
