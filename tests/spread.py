"""Which of many steps a sweep takes: each of them in ``make sweep``, the same few, evenly spread, in ``make test``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """``every``: nothing is left out."""

    every: bool

    def over(self, steps: Sequence[T], count: int, always: Collection[T] = ()) -> list[T]:
        """About ``count`` of the steps, the first and the last among them, and those of ``always``; in their order."""
        if self.every or count >= len(steps):
            return list(steps)
        places = {round(place * (len(steps) - 1) / (count - 1)) for place in range(count)}
        return [step for place, step in enumerate(steps) if place in places or step in always]
