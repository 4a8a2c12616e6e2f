"""How people name units on the command line: by a word for a kind, or by a pattern of short names."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

#: Words for kinds of units; any other is a pattern.
WORDS = {"server": ("server", "server-*"), "worker": ("worker-*", "agent-*"), "postgres": ("postgres*",)}


def short(unit: str) -> str:
    """What a unit is called in output: prefect-worker-etl.service is worker-etl."""
    return unit.removeprefix("prefect-").removesuffix(".service")


def patterns(words: Sequence[str]) -> tuple[str, ...]:
    """Patterns of short names; none for no words: all units."""
    return tuple(pattern for word in map(short, words) for pattern in WORDS.get(word, (word,)))


def is_wanted(unit: str, wanted: Sequence[str]) -> bool:
    """Whether a unit matches one of some patterns, or there are none."""
    return not wanted or any(fnmatch.fnmatchcase(short(unit), pattern) for pattern in wanted)
