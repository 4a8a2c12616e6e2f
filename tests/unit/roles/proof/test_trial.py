"""What the log of a trial's server says: errors that came once, and those that come again."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.resources.base import Failure
from roles.proof import trial
from roles.proof.trial import Trial

ERROR = "{} | ERROR   | prefect.server - Service failed\nTraceback (most recent call last):\nKeyError: 'x'\n"
WELL = "{} | INFO    | prefect.server - well\n"


def judge(folder: Path, log: str) -> None:
    (folder / "server.log").write_text(log, "utf-8")
    trial._no_error_repeats(Trial("3.9.1", folder, folder, 4200))


@pytest.mark.parametrize("second", ["12:00:05.000", "12:01:59.999"])
def test_an_error_of_two_rounds_is_one_that_repeats(tmp_path: Path, second: str) -> None:
    with pytest.raises(Failure, match="repeat, 2 times: KeyError: 'x'"):
        judge(tmp_path, ERROR.format("12:00:00.000") + ERROR.format(second) + WELL.format("12:02:00.000"))


def test_it_may_come_around_midnight(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="2 times"):
        judge(tmp_path, ERROR.format("23:59:58.000") + ERROR.format("00:00:03.000"))


def test_one_failure_that_is_logged_twice_is_none(tmp_path: Path) -> None:
    judge(tmp_path, ERROR.format("12:00:00.000") + ERROR.format("12:00:00.004") + WELL.format("12:00:30.000"))
