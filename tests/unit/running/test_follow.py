"""Lines that are followed: those of a look count only when all of them have come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from encamp.errors import Unreachable
from encamp.running.follow import whole
from encamp.transport.events import HostEvent


def log(text: str, position: dict[str, str]) -> Any:
    return {"event": "log", "lines": [(1.0, "server", "INFO", text)], "position": position}


def test_a_link_that_drops_between_two_batches_neither_loses_nor_repeats_lines() -> None:
    def dropping() -> Iterator[HostEvent]:
        yield log("one", {"journal": "a"})
        yield log("two", {})
        raise Unreachable("gone")

    first, second, last = log("two", {}), log("three", {}), log("four", {"journal": "b"})
    step: Any = {"event": "progress", "text": "x"}
    heard: list[HostEvent] = []
    with pytest.raises(Unreachable):
        for event in whole(dropping()):
            heard.append(event)
    heard += whole([first, step, second, last])
    assert heard == [log("one", {"journal": "a"}), step, first, second, last]
