"""What a benchmark measured: kept as JSON, told as a table of medians and ratios."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TOOLS = ("ssh", "encamp", "pyinfra", "mitogen", "ansible")
KINDS = ("no-op", "change")
#: How many hosts, and how many milliseconds of round trip were added.
Cell = tuple[int, int]


class Record:
    """The samples of a benchmark in a JSON file, written after each; ``keep``: what the file holds counts, too."""

    def __init__(self, path: Path, keep: bool = False) -> None:
        self._path = path
        self._data: dict[str, Any] = {"machine": {}, "tools": {}, "samples": [], "value": 1}
        if keep and path.exists():
            self._data = json.loads(path.read_text("utf-8"))

    def about(self, tools: Mapping[str, Mapping[str, str]], machine: Mapping[str, str]) -> None:
        """Versions and settings."""
        self._data["tools"].update(tools)
        self._data["machine"] = dict(machine)

    def next_value(self) -> int:
        """A number that was not used before: a change to deploy."""
        self._data["value"] += 1
        return int(self._data["value"])

    def forget(self, tools: Sequence[str], cells: Sequence[Cell]) -> None:
        """Drop what is about to be measured again."""
        stale = {(tool, *cell) for tool in tools for cell in cells}
        kept = [one for one in self._data["samples"] if (one["tool"], one["hosts"], one["delay"]) not in stale]
        self._data["samples"] = kept

    def add(self, tool: str, cell: Cell, what: str, seconds: float, least: float) -> None:
        """A sample, beside the baseline that was taken just before."""
        hosts, delay = cell
        sample = {"tool": tool, "hosts": hosts, "delay": delay, "what": what, "seconds": seconds, "least": least}
        self._data["samples"].append(sample)
        self._path.write_text(json.dumps(self._data, indent=1) + "\n", "utf-8")

    @property
    def cells(self) -> list[Cell]:
        """The (hosts, milliseconds) that were measured, in order."""
        return sorted({(sample["hosts"], sample["delay"]) for sample in self._data["samples"]})

    def median(self, tool: str, cell: Cell, what: str) -> float | None:
        """Seconds; of ``ssh``: the median of all baselines of the cell."""
        found = [one["least" if tool == "ssh" else "seconds"] for one in self._samples(tool, cell, what)]
        return float(statistics.median(found)) if found else None

    def ratio(self, tool: str, cell: Cell, what: str) -> float | None:
        """The median, over the median of the baselines that were taken just before."""
        found = self._samples(tool, cell, what)
        if not found:
            return None
        least = statistics.median(one["least"] for one in found)
        return float(statistics.median(one["seconds"] for one in found) / least)

    def rounds(self, tool: str, cell: Cell, what: str) -> int:
        return len(self._samples(tool, cell, what))

    def _samples(self, tool: str, cell: Cell, what: str) -> list[dict[str, Any]]:
        here = [one for one in self._data["samples"] if (one["hosts"], one["delay"]) == cell]
        return here if tool == "ssh" else [one for one in here if (one["tool"], one["what"]) == (tool, what)]

    def lines(self) -> Iterator[str]:
        """Markdown: versions, and a table for each kind of deploy."""
        yield "; ".join(f"{name} {value}" for name, value in self._data["machine"].items())
        for name, about in self._data["tools"].items():
            yield f"- {name}: {about['version']}; {about['settings']}"
        for what in KINDS:
            yield f"\n{what}: median seconds (times the baseline; rounds)\n"
            yield f"| hosts | added round trip | {' | '.join(TOOLS)} |"
            yield "|---|---|" + "---|" * len(TOOLS)
            for cell in self.cells:
                texts = [self._text(tool, cell, what) for tool in TOOLS]
                yield f"| {cell[0]} | {cell[1]} ms | {' | '.join(texts)} |"

    def _text(self, tool: str, cell: Cell, what: str) -> str:
        median, ratio = self.median(tool, cell, what), self.ratio(tool, cell, what)
        if median is None or ratio is None:
            return "over 300 s" if self._samples(tool, cell, "too long") else "-"
        figure = f"{median:.2f}" if median < 10 else f"{median:.1f}"
        return figure if tool == "ssh" else f"{figure} ({ratio:.1f}; {self.rounds(tool, cell, what)})"


def main() -> int:
    """Print the table of a file again."""
    import sys

    print("\n".join(Record(Path(sys.argv[1]), keep=True).lines()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
