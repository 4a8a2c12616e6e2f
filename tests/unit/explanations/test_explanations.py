"""Every table from what a program printed to what it means: real texts find the right entry, and no entry is dead.

``cases/<table>.yaml`` maps words of an entry's cause to texts as programs print them. A text must find that entry, so
an earlier entry that is too wide fails here; and an entry that no text finds fails, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from encamp.resources.docker.pull_errors import PULL_ERRORS
from encamp.resources.packages import errors as apt
from encamp.resources.python.uv.errors import SYMPTOMS
from encamp.resources.systemd.results import EXIT_STATUS, RESULTS
from roles.database.kinds.refusals import REFUSALS
from roles.doctor.kinds.host_limits import LIMITS
from roles.prefect.kinds.call_errors import CERTIFICATE_ERRORS, NETWORK_ERRORS, STATUS_MEANINGS
from roles.prefect.kinds.known_failures.client import CLIENT
from roles.prefect.kinds.known_failures.server import SERVER

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Entry:
    """What a table knows: whether it ``fits`` a text, and what it says then."""

    fits: Callable[[str], object]
    words: str


def _patterns(rows: Sequence[tuple[str, str]]) -> tuple[Entry, ...]:
    return tuple(Entry(re.compile(pattern).search, words) for pattern, words in rows)


def _named(rows: Mapping[Any, str], line: str) -> tuple[Entry, ...]:
    """Entries of a table by name or number: ``line`` is what a program prints, with the key in it."""
    return _patterns([(rf"(?m)^{line.format(key)}$", words) for key, words in rows.items()])


TABLES = {
    "server_log": _patterns([(known.pattern, known.cause) for known in SERVER]),
    "client_output": _patterns([(known.pattern, known.cause) for known in CLIENT]),
    "apt": _patterns([(known.pattern, known.cause) for known in (*apt.INSTALLATION, *apt.SOURCES)]),
    "worker_limits": _patterns([(limit.pattern, f"{limit.text}; {limit.cause}") for limit in LIMITS]),
    "docker_pull": _patterns([(error.pattern, error.cause) for error in PULL_ERRORS]),
    "network": _patterns([(pattern, cause) for pattern, cause, _ in NETWORK_ERRORS]),
    "tls": _patterns([(pattern, cause) for pattern, cause, _ in CERTIFICATE_ERRORS]),
    "http_status": _named({status: cause for status, (cause, _) in STATUS_MEANINGS.items()}, "HTTP {}"),
    "systemd_exit_status": _named(EXIT_STATUS, "ExecMainStatus={}"),
    "systemd_result": _named(RESULTS, "Result={}"),
    "postgres_login": _patterns([(known.pattern, f"{known.reason}; {known.cause}") for known in REFUSALS]),
    "uv": tuple(
        Entry(lambda text, texts=one.texts: any(word in text.lower() for word in texts), f"{one.reason}; {one.cause}")
        for one in SYMPTOMS
    ),
}


def cases(table: str) -> dict[str, list[str]]:
    """Words of an entry -> texts that must find it."""
    found: dict[str, list[str]] = yaml.safe_load((CASES / f"{table}.yaml").read_text())
    return found


def found_in(table: str, text: str) -> Entry | None:
    """The entry that a text finds: the first that fits."""
    return next((entry for entry in TABLES[table] if entry.fits(text)), None)


def _all() -> Iterator[Any]:
    for table in TABLES:
        for words, texts in cases(table).items():
            for text in texts:
                yield pytest.param(table, words, text, id=f"{table}: {text[:60]}")


@pytest.mark.parametrize(("table", "words", "text"), list(_all()))
def test_a_real_text_finds_its_entry(table: str, words: str, text: str) -> None:
    entry = found_in(table, f"some line before\n{text}\nsome line after")
    assert entry is not None, "no entry fits"
    assert words in entry.words


@pytest.mark.parametrize("table", TABLES)
def test_every_entry_is_found_by_a_text(table: str) -> None:
    found = {found_in(table, text) for texts in cases(table).values() for text in texts}
    assert [entry.words for entry in TABLES[table] if entry not in found] == []
