"""In which order hosts are worked on. Pure: stages in, batches out."""

from __future__ import annotations

from collections.abc import Sequence

from encamp.shared.record import record


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
