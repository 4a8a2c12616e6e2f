"""What all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# As Hypothesis itself does in CI: no limits of time, which say more about the machine, and the same examples each run.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")
