"""In which order the messages of a log are looked at, and that ``explain`` keeps to it."""

from __future__ import annotations

import pytest

from roles.prefect.kinds.known_failures.lookup import explain, explain_client
from roles.prefect.kinds.log_messages import by_weight

REFUSED = "OSError: [Errno 111] Connect call failed ('127.0.0.1', 5432)"
IN_USE = "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 4200): address already in use"
FULL = "OSError: [Errno 28] No space left on device: '/var/lib/prefect/default/storage'"
DENIED = "PermissionError: [Errno 13] Permission denied: '/srv/flows/.prefect'"
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in main\n'
CHAIN = "\nDuring handling of the above exception, another exception occurred:\n\n"
#: What each of the texts above means, by words of its entry.
MEANS = {
    REFUSED: "nothing accepts connections",
    IN_USE: "already listens",
    FULL: "disk is full",
    DENIED: "not readable",
}


def _cause(log: str) -> str:
    known = explain(log)
    return known.cause if known else ""


@pytest.mark.parametrize(
    ("log", "first"),
    [
        (f"12:00:01.000 | ERROR   | prefect.server - x\n{TRACEBACK}{REFUSED}\n{IN_USE}\n", REFUSED),
        (f"{TRACEBACK}{DENIED}\n{TRACEBACK}{FULL}\n", DENIED),
        (f"12:00:01.000 | INFO    | prefect - starts\n{TRACEBACK}{DENIED}\n{IN_USE}", DENIED),
    ],
)
def test_the_first_error_counts_whatever_the_order_of_the_table(log: str, first: str) -> None:
    assert MEANS[first] in _cause(log)


def test_in_one_chain_of_exceptions_the_table_decides() -> None:
    log = f"12:00:01.000 | ERROR   | prefect.server - x\n{TRACEBACK}{DENIED}\n{CHAIN}{TRACEBACK}{FULL}\n"
    assert len(list(by_weight(log))) == 1
    assert MEANS[FULL] in _cause(log)


@pytest.mark.parametrize(
    "harmless",
    [
        f"12:00:00.000 | WARNING | prefect.server - tried again\n{TRACEBACK}{REFUSED}",
        f"12:00:00.000 | INFO    | prefect.server - {REFUSED}",
        f"/opt/x/env.py:12: UserWarning: {REFUSED}",
    ],
)
def test_a_warning_before_the_error_is_not_the_cause_and_is_one_where_nothing_else_is_known(harmless: str) -> None:
    assert MEANS[IN_USE] in _cause(f"{harmless}\n{IN_USE}")
    assert MEANS[REFUSED] in _cause(f"{harmless}\n12:00:01.000 | ERROR   | prefect.server - nothing known")


@pytest.mark.parametrize(
    "start",
    [
        "Started prefect-server.service - Prefect server (default), http://h:4200.",
        "Started Prefect server (default), http://h:4200.",
        "prefect-server.service: Scheduled restart job, restart counter is at 3.",
        "Dec 01 12:00:00 h systemd[1]: Starting prefect-server.service - Prefect server (default)...",
    ],
)
def test_the_last_start_counts_and_an_earlier_one_while_it_is_silent(start: str) -> None:
    assert MEANS[IN_USE] in _cause(f"{TRACEBACK}{REFUSED}\n{start}\n{IN_USE}")
    assert MEANS[REFUSED] in _cause(f"{TRACEBACK}{REFUSED}\n{start}\n")


def test_a_temporary_server_is_no_restart_and_weighs_less_than_an_error() -> None:
    known = explain_client(
        f"{TRACEBACK}{DENIED}\n12:00:01.000 | INFO    | prefect - Starting temporary server on http://x"
    )
    assert known is not None and MEANS[DENIED] in known.cause


@pytest.mark.parametrize(
    "prefix",
    [
        "Apr 26 08:26:53 vm1 prefect[146881]: ",
        "Apr  6 08:26:53 vm1 sh[146881]: ",
        "flows-prefect-server-1  | ",
        "2025-03-04T04:47:29.4664831Z stderr F ",
    ],
)
def test_what_journals_and_containers_write_before_each_line_is_no_part_of_it(prefix: str) -> None:
    """As people paste logs (PrefectHQ/prefect#9323, #10188, #16299)."""
    warning, error = f"12:00:00.000 | WARNING | prefect.server - {FULL}", "12:00:01.000 | ERROR   | a - b"
    log = f"{warning}\n{error}\n{TRACEBACK}{DENIED}\n{IN_USE}"
    assert MEANS[DENIED] in _cause("".join(f"{prefix}{line}\n" for line in log.splitlines()))


def test_no_line_is_lost() -> None:
    log = f"a\n12:00:01.000 | INFO    | b - c\nd\n{TRACEBACK}{REFUSED}\nprefect-server.service: Failed\n{IN_USE}"
    assert sorted("\n".join(by_weight(log)).splitlines()) == sorted(log.splitlines())
