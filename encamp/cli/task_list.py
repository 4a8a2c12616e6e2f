"""What ``--list`` shows: not the tasks that only make sense behind another one's name, as in ``secrets rotate``."""

from __future__ import annotations

from typing import Any

from invoke.collection import Collection
from invoke.program import Program


def hide_grouped_tasks(program: Program) -> None:
    """Let a program list no task that has a ``group``; the help of the group's own task names it."""
    every_pair = program._make_pairs

    def pairs(coll: Collection, ancestors: list[str] | None = None) -> list[Any]:
        hidden = {name for name, task in coll.tasks.items() if getattr(task, "group", "")}
        return [pair for pair in every_pair(coll, ancestors) if pair[0].strip(" .") not in hidden]

    program._make_pairs = pairs  # type: ignore[method-assign]
