"""`fab maintenance`: what it refuses before a host is touched."""

from __future__ import annotations

import pytest

from encamp.commands.operate.maintenance import duration
from encamp.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("90s", 90), ("1d", 86400)]
)
def test_times_as_people_write_them(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["30", "m", "30 m", "-5m", "10s", "31d", "1x", "1h30"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="not a time"):
        duration(text)
