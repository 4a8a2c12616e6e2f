"""What holds for the whole table; tests/unit/explanations has the texts that find each entry."""

from __future__ import annotations

from roles.prefect.kinds.known_failures import KNOWN, KNOWN_CLIENT, explain


def test_an_ordinary_log_has_no_cause() -> None:
    assert explain("Starting...\nCheck out the dashboard at http://127.0.0.1:4200\nINFO: GET /api/health 200") is None


def test_every_entry_says_what_to_do() -> None:
    assert all(known.cause and known.fix for known in (*KNOWN, *KNOWN_CLIENT))
