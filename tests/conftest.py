"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.spread import Spread

# As Hypothesis itself does in CI: no limits of time, which say more about the machine, and the same examples each run.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``make sweep`` passes it."""
    parser.addoption("--every-step", action="store_true", help="sweeps take every step, not a sample of them")


@pytest.fixture(scope="session")
def spread(request: pytest.FixtureRequest) -> Spread:
    """Which of its steps a sweep takes."""
    return Spread(every=bool(request.config.getoption("--every-step")))
