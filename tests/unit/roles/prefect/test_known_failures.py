"""What holds for the tables; tests/unit/explanations has the texts that find each entry."""

from __future__ import annotations

from encamp.transport import bundle
from roles.prefect.kinds.known_failures.client import CLIENT
from roles.prefect.kinds.known_failures.lookup import explain
from roles.prefect.kinds.known_failures.server import SERVER


def test_an_ordinary_log_has_no_cause() -> None:
    assert explain("Starting...\nCheck out the dashboard at http://127.0.0.1:4200\nINFO: GET /api/health 200") is None


def test_every_entry_says_what_to_do() -> None:
    assert all(known.cause and known.fix for known in (*CLIENT, *SERVER))


def test_the_tables_travel_when_something_is_to_be_explained() -> None:
    """A proof, and a doctor, on a host on which nothing fails."""
    users = ("roles.proof.kinds.flow_run", "roles.doctor.kinds.server.checks", "roles.doctor.kinds.worker")
    sent = {name.rpartition(".")[2] for name in bundle.sources(users) if "known_failures." in name}
    assert sent == {"known", "lookup"}
