"""Host ranges as Ansible writes them: ``web[01:20]``, ``db-[a:f]``, ``node[0:10:5]``, several in one name."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence

LIMIT = 65536
_RANGE = r"\[([^\[\]]*:[^\[\]]*)\]"
_LETTERS = string.ascii_lowercase + string.ascii_uppercase


def has_range(name: str) -> bool:
    """Whether ``name`` stands for several hosts. ``[::1]`` and ``[fe80::2]`` are addresses, not ranges."""
    found = re.search(_RANGE, name) if "[" in name else None
    return found is not None and not _is_ipv6(found.group(1))


def expand(name: str) -> list[str]:
    """All host names that ``name`` stands for, leftmost range slowest. Raises ValueError, in words for the operator."""
    names = list(_expand(name, LIMIT))
    if len(names) > LIMIT:
        raise ValueError(f"{name} stands for more than {LIMIT} hosts")
    return names


def _expand(name: str, limit: int) -> Iterator[str]:
    found = re.search(_RANGE, name) if has_range(name) else None
    if not found:
        yield name
        return
    count = 0
    for item in _items(found.group(1)):
        for tail in _expand(name[found.end() :], limit):
            yield name[: found.start()] + item + tail
            count += 1
            if count > limit:
                return


def _items(body: str) -> Sequence[str]:
    """The items of one range, ``begin:end[:step]``, both ends included."""
    bounds = body.split(":")
    if len(bounds) not in (2, 3) or not bounds[1]:
        raise ValueError(f"the range [{body}] is not begin:end or begin:end:step")
    begin, end, step = bounds[0] or "0", bounds[1], _step(bounds[2] if len(bounds) == 3 else "1", body)
    if begin.isdecimal() and end.isdecimal():
        return _numbers(begin, end, step, body)
    if len(begin) == len(end) == 1 and begin in _LETTERS and end in _LETTERS:
        return _letters(begin, end, step, body)
    raise ValueError(f"the range [{body}] must run between two numbers or two single letters")


def _step(text: str, body: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"the step of the range [{body}] must be a whole number of 1 or more")
    return int(text)


def _numbers(begin: str, end: str, step: int, body: str) -> Sequence[str]:
    padded = len(begin) > 1 and begin.startswith("0")
    if padded and len(begin) != len(end):
        raise ValueError(f"the range [{body}] has a zero-padded begin, so its end must have as many digits")
    if int(begin) > int(end):
        raise ValueError(f"the range [{body}] runs backwards")
    # A lazy count first: a mistyped end must not fill the memory.
    numbers = range(int(begin), int(end) + 1, step)[: LIMIT + 1]
    return [str(number).zfill(len(begin) if padded else 0) for number in numbers]


def _letters(begin: str, end: str, step: int, body: str) -> Sequence[str]:
    first, last = _LETTERS.index(begin), _LETTERS.index(end)
    if first > last:
        raise ValueError(f"the range [{body}] runs backwards")
    return _LETTERS[first : last + 1 : step]


def _is_ipv6(body: str) -> bool:
    return "::" in body or body.count(":") == 7
