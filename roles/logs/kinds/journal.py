"""Lines of units and containers in systemd's journal, from a cursor on."""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping, Sequence

from encamp.resources.base import Failure
from encamp.resources.system import Reader
from roles.logs.kinds.line import LogLine, of_text

FIELDS = "MESSAGE,PRIORITY,_SYSTEMD_UNIT,UNIT,CONTAINER_NAME"
#: Lines that are read at once.
MOST = 50_000
TIMEOUT = 120.0
#: Systems before systemd 236 know no --output-fields; encamp's oldest has 247.
ARGV = ("journalctl", "-q", "--no-pager", "-o", "json", "--all", f"--output-fields={FIELDS}")


def latest(
    host: Reader, names: Mapping[str, str], containers: Mapping[str, str], since: str = "", most: int = MOST
) -> tuple[list[LogLine], str]:
    """The last lines, oldest first, and the cursor of the last one (empty: there was none).

    ``names``: what each unit is called in the output, ``containers`` the same of containers that log to the journal.
    Raises Failure where the journal cannot be read.
    """
    # Backwards: -n takes the last lines then. With --since, systemd 252 takes the first ones after that time.
    start = ["--reverse", "-n", str(min(most, MOST)), *([f"--since={since}"] if since else [])]
    entries = _entries(host, names, containers, start)[::-1]
    return _lines(entries, names, containers), _cursor(entries)


def following(
    host: Reader, names: Mapping[str, str], containers: Mapping[str, str], start: str
) -> tuple[list[LogLine], str]:
    """The same of what comes after ``start``, an option of journalctl; more than MOST lines come the next time."""
    entries = _entries(host, names, containers, ["-n", str(MOST), start])
    return _lines(entries, names, containers), _cursor(entries)


def _entries(
    host: Reader, names: Mapping[str, str], containers: Mapping[str, str], start: Sequence[str]
) -> list[Mapping[str, Any]]:
    matches = list(_matches(names, containers))
    if not matches:
        return []
    result = host.query([*ARGV, *start, *matches], timeout=TIMEOUT)
    if not result.ok:
        raise Failure(
            "the journal cannot be read", fix="run journalctl on the host; --since takes its times", detail=result.tail
        )
    entries: list[Mapping[str, Any]] = []
    for text in result.out.splitlines():
        try:
            entries.append(json.loads(text))
        except ValueError:  # journalctl was killed while it wrote
            continue
    return entries


def _lines(
    entries: Sequence[Mapping[str, Any]], names: Mapping[str, str], containers: Mapping[str, str]
) -> list[LogLine]:
    return [line for entry in entries for line in _line(entry, names, containers)]


def _cursor(entries: Sequence[Mapping[str, Any]]) -> str:
    return str(entries[-1].get("__CURSOR", "")) if entries else ""


def _matches(names: Mapping[str, str], containers: Mapping[str, str]) -> Iterator[str]:
    """What journalctl -u means, for several units: what they print, and what systemd says about them."""
    groups = [[f"_SYSTEMD_UNIT={unit}"] for unit in names]
    groups += [[f"UNIT={unit}", "_PID=1"] for unit in names]
    groups += [[f"CONTAINER_NAME={name}"] for name in containers]
    for number, group in enumerate(groups):
        yield from (["+"] if number else [])
        yield from group


def _line(entry: Mapping[str, Any], names: Mapping[str, str], containers: Mapping[str, str]) -> list[LogLine]:
    """An entry's lines: a message may have several."""
    container = str(entry.get("CONTAINER_NAME") or "")
    unit = str(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT") or "")
    name = containers.get(container) or names.get(unit)
    message = entry.get("MESSAGE")
    if isinstance(message, list):  # bytes that are not UTF-8
        message = bytes(message).decode("utf-8", "replace")
    if name is None or message is None:
        return []
    when = int(str(entry.get("__REALTIME_TIMESTAMP", "0"))) / 1e6
    return [of_text(when, name, text, str(entry.get("PRIORITY", ""))) for text in str(message).splitlines() or [""]]
