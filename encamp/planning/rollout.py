"""How a run over many hosts proceeds: in which order, how many at a time, how many may fail before it stops."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from encamp.errors import UsageError
from encamp.shared.record import record

T = TypeVar("T")


@record
class Amount:
    """A number of hosts, or a share of those that take part."""

    number: int
    percent: bool = False

    def __str__(self) -> str:
        """As the command line takes it."""
        return f"{self.number}%" if self.percent else str(self.number)

    def of(self, total: int, at_least: int = 0) -> int:
        """How many of ``total`` hosts that is, rounded down."""
        return max(at_least, total * self.number // 100 if self.percent else self.number)


@record
class Rollout:
    """The pace of a rollout. ``batch``: hosts to finish before the next ones start; None: all at once.

    ``max_fail``: hosts of a stage that may fail before the run stops. ``any_errors_fatal``: after the first
    failure no further host starts; active hosts finish.
    """

    batch: Amount | None = None
    max_fail: Amount = Amount(0)
    any_errors_fatal: bool = False

    def batches(self, hosts: Mapping[str, T]) -> list[dict[str, T]]:
        """The hosts of a wave, split in their order."""
        names = list(hosts)
        size = self.batch.of(len(names), at_least=1) if self.batch else max(len(names), 1)
        return [{name: hosts[name] for name in names[at : at + size]} for at in range(0, len(names), size)]

    def goes_on(self, failed: int, total: int) -> bool:
        """Whether more hosts may start after ``failed`` of ``total`` hosts of a stage failed."""
        return failed == 0 or (not self.any_errors_fatal and failed <= self.max_fail.of(total))


#: Every host of every stage, however many fail.
EVERY_HOST = Rollout(max_fail=Amount(100, percent=True))
#: All hosts at once; after a failure no further stage starts.
ALL_AT_ONCE = Rollout()


def parse(batch: str, max_fail: str, any_errors_fatal: bool) -> Rollout:
    """A rollout from the command line. Raises UsageError."""
    size = _amount("--batch", batch, 1) if batch else None
    allowed = _amount("--max-fail", max_fail, 0) if max_fail else Amount(0)
    if any_errors_fatal and max_fail:
        raise UsageError("--any-errors-fatal and --max-fail exclude each other", "give one of them")
    return Rollout(size, allowed, any_errors_fatal)


def seconds(option: str, text: str) -> int:
    """A number of seconds. Raises UsageError."""
    if not text.isdecimal():
        raise UsageError(f"{option} {text}: not a number of seconds", f"for example {option} 60")
    return int(text)


def _amount(option: str, text: str, least: int) -> Amount:
    found = re.fullmatch(r"(\d{1,6})(%?)", text)
    number, percent = (int(found[1]), bool(found[2])) if found else (-1, False)
    if number < least or (percent and number > 100):
        raise UsageError(
            f"{option} {text}: not a number of hosts", f"write {option} 2, or a share such as {option} 25%"
        )
    return Amount(number, percent)


@record
class Mode:
    """How a run goes: ``check`` changes nothing, ``diff`` shows contents, ``forks`` hosts run at once.

    ``wait``: seconds that a host's lock is waited for.
    """

    check: bool = False
    diff: bool = False
    forks: int = 10
    rollout: Rollout = ALL_AT_ONCE
    wait: int = 0


@record
class Wave:
    """One opening of the gate: the hosts that run now, in parallel, each with the stages it does in one go."""

    name: str
    hosts: dict[str, tuple[str, ...]]


def waves(stages: Sequence[tuple[str, Sequence[str]]]) -> list[Wave]:
    """Turn ``(stage, hosts)`` in order into waves.

    A host that appears in several stages does the later ones in the same go (one exec) as long as no *other* host
    stands in a stage between, so that a server and its worker on one box cost a single session.
    """
    left = [(name, list(hosts)) for name, hosts in stages]
    made: list[Wave] = []
    while left:
        name, hosts = left.pop(0)
        if not hosts:
            continue
        now = {host: [name] for host in hosts}
        others = set(hosts)
        for later, members in left:
            if len(others) == 1 and set(members) & others:
                host = next(iter(others))
                members.remove(host)
                now[host].append(later)
            others |= set(members)
        made.append(Wave(name, {host: tuple(names) for host, names in now.items()}))
    return made
