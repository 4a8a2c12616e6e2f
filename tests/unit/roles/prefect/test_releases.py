"""Which releases of client and server work together: one table, and all that read it say the same."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from encamp.resources.base import Refused
from encamp.shared.secret import Secret
from roles.client.kinds.installed import ClientPrefect
from roles.doctor.kinds.api_checks import check_version
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.findings import FAIL, OK, WARN
from roles.prefect import versions
from roles.prefect.kinds.releases import (
    DEPLOYMENTS,
    EVERYTHING,
    FLOW_RUNS,
    MISMATCHES,
    NEWEST,
    TASK_RUNS,
    WORKERS,
    mismatch,
    since,
    version_key,
)
from tests.unit.roles.client.laptop import Laptop

#: Pairs that were run: (client, server, what failed). What each was run with stands in docs/guides/prefect-versions.md.
TRIED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("2.1.1", "2.0.4", (DEPLOYMENTS,)),
    ("2.2.0", "2.0.4", (DEPLOYMENTS,)),
    ("2.7.12", "2.0.4", EVERYTHING),
    ("2.5.0", "2.1.1", EVERYTHING),
    ("2.3.0", "2.2.0", (DEPLOYMENTS,)),
    ("2.5.0", "2.2.0", (DEPLOYMENTS,)),
    ("2.7.12", "2.2.0", (WORKERS, DEPLOYMENTS)),
    ("2.5.0", "2.3.0", ()),
    ("2.7.0", "2.6.0", ()),
    ("2.7.12", "2.6.0", (WORKERS,)),
    ("2.7.1", "2.7.0", ()),
    ("2.8.7", "2.7.12", ()),
    ("2.20.26", "2.7.12", (DEPLOYMENTS,)),
    ("2.7.12", "2.3.0", (WORKERS,)),
    ("2.7.1", "2.6.9", ()),
    ("2.7.12", "2.6.9", (WORKERS,)),
    ("2.7.12", "2.20.26", ()),
    ("2.20.26", "3.9.1", (DEPLOYMENTS,)),
    ("2.7.12", "3.9.1", (DEPLOYMENTS,)),
    ("2.20.26", "3.0.11", (DEPLOYMENTS,)),
    ("2.7.12", "3.0.11", (DEPLOYMENTS,)),
    ("3.1.0", "3.9.1", ()),
    ("3.0.11", "2.7.12", EVERYTHING),
    ("3.0.11", "2.20.26", EVERYTHING),
    ("3.9.1", "2.20.26", EVERYTHING),
    ("3.0.11", "3.0.11", ()),
    ("3.1.0", "3.0.11", ()),
    ("3.1.4", "3.0.11", ()),
    ("3.1.5", "3.0.11", EVERYTHING),
    ("3.1.5", "3.1.4", EVERYTHING),
    ("3.9.1", "3.0.11", EVERYTHING),
    ("3.4.0", "3.3.5", (DEPLOYMENTS,)),
    ("3.6.14", "3.6.13", (TASK_RUNS, WORKERS, DEPLOYMENTS)),
    ("3.9.1", "3.3.5", (TASK_RUNS, WORKERS, DEPLOYMENTS)),
    ("3.9.1", "3.6.13", (TASK_RUNS, WORKERS, DEPLOYMENTS)),
    ("3.6.17", "3.6.16", (DEPLOYMENTS,)),
    ("3.8.8", "3.7.2", ()),
    ("3.9.1", "3.7.2", ()),
)
#: The same with a server that asks for user and password.
TRIED_WITH_AUTH: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("3.1.8", "3.9.1", (TASK_RUNS, WORKERS)),
    ("3.4.0", "3.9.1", (TASK_RUNS, WORKERS)),
    ("3.4.25", "3.9.1", (TASK_RUNS, WORKERS, DEPLOYMENTS)),
    ("3.6.13", "3.9.1", (TASK_RUNS, WORKERS, DEPLOYMENTS)),
    ("3.6.14", "3.9.1", ()),
)
RELEASES = sorted({release for pair in TRIED + TRIED_WITH_AUTH for release in pair[:2]} | {NEWEST}, key=version_key)


def refuses(step: ClientPrefect, host: Laptop) -> bool:
    """Whether a step refuses what it finds."""
    try:
        step.check(host)
    except Refused:
        return True
    return False


def doctors_word(client: str, server: str, auth: bool, *work: str) -> str:
    """The status that the doctor gives to a pair, for what the client is there for."""
    secret = Secret("u:p") if auth else None
    target = ApiTarget(Laptop("/"), "http://h/api", version=client, auth=secret, server_version=server, work=work)
    found = check_version(target)
    assert found
    return found.status


@pytest.mark.parametrize(
    ("client", "server", "failed", "auth"),
    [(*pair, False) for pair in TRIED] + [(*pair, True) for pair in TRIED_WITH_AUTH],
)
def test_the_table_says_what_was_seen(client: str, server: str, failed: tuple[str, ...], auth: bool) -> None:
    assert tuple(work for work in EVERYTHING if mismatch(client, server, work, auth=auth)) == failed


@pytest.mark.parametrize("auth", [False, True])
def test_planner_and_doctor_say_the_same_of_a_worker(auth: bool) -> None:
    for client, server in itertools.product(RELEASES, repeat=2):
        doctor = doctors_word(client, server, auth, FLOW_RUNS, WORKERS)
        assert bool(versions.refused(client, server, auth)) == (doctor == FAIL), (client, server)


@pytest.mark.parametrize("auth", [False, True])
def test_configure_client_and_doctor_say_the_same_of_a_laptop(tmp_path: Path, auth: bool) -> None:
    environment = tmp_path / ".venv/lib/python3.11/site-packages"
    environment.mkdir(parents=True)
    for client in RELEASES:
        installed = environment / f"prefect-{client}.dist-info"
        installed.mkdir()
        for server in RELEASES:
            host = Laptop(str(tmp_path))
            step = ClientPrefect("c", server, auth=Secret("u:p") if auth else None)
            refused = refuses(step, host)
            noted = next((note for note in host.notes if str(tmp_path) in note), "")
            said = FAIL if refused else WARN if re.search("(newer|older) than the server", noted) else OK
            assert said == doctors_word(client, server, auth, FLOW_RUNS), (client, server)
        installed.rmdir()


def test_a_client_that_cannot_do_all_is_warned_of_what_fails() -> None:
    found = check_version(ApiTarget(Laptop("/"), "http://h/api", version="3.4.0", server_version="3.3.5"))
    assert found and found.status == WARN and "no deployments" in found.text and "version_info" in found.text
    old = ApiTarget(Laptop("/"), "http://h/api", version="3.6.13", auth=Secret("u:p"), server_version="3.9.1")
    found = check_version(old)
    assert found and found.status == WARN and "too old" in found.cause and "3.9.1" in found.fix


def test_without_auth_a_server_is_never_too_new_for_flows_and_workers() -> None:
    pairs = itertools.combinations_with_replacement(RELEASES, 2)
    assert not [pair for pair in pairs if mismatch(*pair, FLOW_RUNS, TASK_RUNS, WORKERS)]


def test_the_doctor_of_a_worker_does_not_mind_deployments() -> None:
    assert doctors_word("2.20.26", "3.9.1", False, FLOW_RUNS, WORKERS) == OK
    assert doctors_word("2.20.26", "3.9.1", False, FLOW_RUNS) == WARN


def test_every_row_was_seen() -> None:
    seen = [(*pair, False) for pair in TRIED] + [(*pair, True) for pair in TRIED_WITH_AUTH]
    for row in MISMATCHES:
        assert row.symptom and row.fails and set(row.fails) <= set(EVERYTHING)
        assert any(mismatch(one, other, *row.fails, auth=auth) is row for one, other, _, auth in seen), row


def test_a_release_that_is_not_known_counts_as_the_newest() -> None:
    table = (("2.0", "old"), ("3.0", "new"))
    assert (since(table, ""), since(table, "2.20.26"), since(table, "1.0")) == ("new", "old", "old")
