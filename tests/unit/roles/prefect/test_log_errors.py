"""Errors that repeat, found in what real servers have logged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from encamp.resources.system import Result
from roles.prefect.kinds import log_errors
from roles.prefect.kinds.log_errors import OF_WORKERS, repeats
from tests.unit.roles.client.laptop import Laptop

NOW = 1_800_000_000.0
SCHEDULER = """\
21:05:32.059 | ERROR   | docket.dependencies - ↩ [    41ms] schedule_recent_deployments(){schedule_recent_deployments}
Traceback (most recent call last):
  File "/opt/prefect/lib/docket/worker.py", line 1134, in _execute
    result = await execution.function(
  File "/opt/prefect/lib/sqlalchemy/ext/hybrid.py", line 1851, in prop
    raise exc.InvalidRequestError(
sqlalchemy.exc.InvalidRequestError: Can't evaluate bulk DML statement; please supply a bulk_dml decorated function
"""
LOCKED = """\
21:03:33.123 | ERROR   | prefect.server.services.telemetry - Unexpected error in: OperationalError
Traceback (most recent call last):
sqlite3.OperationalError: database is locked

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked
"""
STOPPED = """\
22:31:07.123 | ERROR   | prefect.server - Service 'Scheduler' failed
Traceback (most recent call last):
  File "/opt/prefect/lib/asyncio/unix_events.py", line 259, in create_unix_connection
FileNotFoundError: [Errno 2] No such file or directory
"""
#: What a process worker of 3.9.1 logs of a flow that fails, and of itself while its server is restarted.
OF_A_FLOW = """\
21:05:32.059 | ERROR   | Flow run 'amber-mole' - Encountered exception during execution: ValueError('x')
Traceback (most recent call last):
ValueError: x
21:05:32.080 | ERROR   | my_project.load - no such table
21:05:32.100 | ERROR   | prefect.flow_runs.runner - Process for flow run 'amber-mole' exited with status code: 1
21:05:32.100 | ERROR   | prefect.runner.flow_run_executor - Process exited with status code: 1. A general error.
21:05:32.100 | ERROR   | prefect.infrastructure.process - Process 'amber-mole' exited with status code: 247
21:05:32.100 | ERROR   | prefect.runner.hook_runner - An error was encountered while running hook 'tell'
Traceback (most recent call last):
KeyError: 'channel'
"""
OF_A_WORKER = """\
21:05:32.059 | ERROR   | prefect.worker.process.worker 1 - Failed to read the queue
Traceback (most recent call last):
RuntimeError: boom
"""
RESTARTED = OF_A_WORKER.replace("RuntimeError: boom", "httpx.ConnectError: All connection attempts failed")
NAMED = STOPPED.replace("directory", "directory: '/srv/flows'")


def lines(*texts: str, every: float = 60.0) -> list[tuple[float, str]]:
    """Lines of a log; the texts are ``every`` seconds apart, the last is a second old."""
    found = []
    for place, text in enumerate(texts):
        found += [(NOW - 1 - every * (len(texts) - 1 - place), line) for line in text.splitlines()]
    return found


def test_the_same_error_is_counted_and_told_by_the_last_line_of_its_traceback() -> None:
    (found,) = repeats(lines(SCHEDULER, "21:05:33.000 | WARNING | x - y", SCHEDULER, SCHEDULER), NOW)
    assert (found.count, found.age, found.lasting) == (3, 1.0, True)
    assert found.text.startswith("sqlalchemy.exc.InvalidRequestError: Can't evaluate bulk DML")


def test_what_comes_once_does_not_repeat() -> None:
    other = "21:05:32.059 | ERROR   | prefect.server - another fault"
    assert repeats(lines(SCHEDULER, other, "21:06:00.000 | INFO    | prefect - well"), NOW) == []


def test_ids_times_and_numbers_do_not_tell_errors_apart() -> None:
    first = "12:00:00.001 | ERROR   | prefect.server - Error scheduling UUID('0a1b2c3d-0000-4000-8000-00000000000a')"
    second = "12:01:00.002 | ERROR   | prefect.server - Error scheduling UUID('ffffffff-0000-4000-8000-00000000000b')"
    (found,) = repeats(lines(first, second), NOW)
    assert found.count == 2 and "0a1b2c3d" in found.text


SLOW = """12:00:00.001 | ERROR   | prefect.server.events - Service 'EventPersister' failed
Traceback (most recent call last):
  File "/usr/lib/python3.11/asyncio/tasks.py", line 500, in wait_for
TimeoutError"""


@pytest.mark.parametrize(
    ("texts", "every", "lasting"),
    [
        ((LOCKED, LOCKED), 60.0, False),
        ((STOPPED, STOPPED), 60.0, False),
        ((SLOW, SLOW), 20.0, False),
        ((NAMED, NAMED), 60.0, True),
        ((RESTARTED, RESTARTED), 60.0, False),
        ((OF_A_WORKER, OF_A_WORKER), 60.0, True),
        ((SCHEDULER, SCHEDULER), 60.0, True),
        ((SCHEDULER, SCHEDULER, ""), 400.0, False),
    ],
)
def test_what_passes_or_is_over_does_not_count(texts: tuple[str, ...], every: float, lasting: bool) -> None:
    now = NOW + (400 if every == 400.0 else 0)
    (found,) = repeats(lines(*texts, every=every), now)
    assert found.lasting is lasting


def test_an_error_that_passes_is_lasting_where_it_goes_on() -> None:
    (each_minute,) = repeats(lines(*[SLOW] * 20, every=60.0), NOW)
    assert each_minute.lasting
    (twice,) = repeats(lines(SLOW, SLOW, every=3600.0), NOW)
    assert not twice.lasting, "two restarts of a database, an hour apart"
    (for_a_while,) = repeats(lines(*[LOCKED] * 10, every=60.0), NOW)
    assert not for_a_while.lasting


def test_one_failure_that_is_logged_twice_came_once() -> None:
    (found,) = repeats(lines(SCHEDULER, SCHEDULER, every=0.1), NOW)
    assert (found.count, found.occurrences, found.lasting) == (2, 1, False)
    (again,) = repeats([*lines(SCHEDULER, SCHEDULER, every=60.0), *lines(SCHEDULER)], NOW)
    assert (again.count, again.occurrences, again.lasting) == (3, 2, True)


@pytest.mark.parametrize(
    "text",
    [
        "asyncio.exceptions.CancelledError",
        "httpx.ReadTimeout",
        "asyncpg.exceptions.QueryCanceledError: canceling statement due to statement timeout",
        "websockets.exceptions.ConnectionClosedError: no close frame received or sent",
    ],
)
def test_kin_that_pass(text: str) -> None:
    log = f"12:00:00.001 | ERROR   | prefect.server - Service failed\nTraceback (most recent call last):\n{text}"
    (found,) = repeats(lines(log, log), NOW)
    assert not found.lasting and text in found.text


def test_errors_of_flows_are_not_those_of_their_worker() -> None:
    assert repeats(lines(OF_A_FLOW, OF_A_FLOW), NOW, OF_WORKERS) == []
    (found,) = repeats(lines(OF_A_FLOW, OF_A_WORKER, OF_A_WORKER), NOW, OF_WORKERS)
    assert (found.count, found.text) == (2, "RuntimeError: boom")


def test_warnings_and_what_follows_them_are_no_errors() -> None:
    warning = "12:00:00.001 | WARNING | prefect - slow\nValueError: told in a warning"
    assert repeats(lines(warning, warning), NOW) == []


def test_uvicorns_own_errors_count() -> None:
    text = "ERROR:    Exception in ASGI application\nTraceback (most recent call last):\nKeyError: 'x'"
    (found,) = repeats(lines(text, text), NOW)
    assert found.text == "KeyError: 'x'"


class Journal(Laptop):
    """A host whose journal has had an error once a minute, ten of them, after which came many other lines or none.

    journalctl of systemd 252: ``-n`` counts from ``--since`` on, and from the end with ``--reverse``.
    """

    def query(self, argv: Sequence[str], *_: object, **__: object) -> Result:
        now = time.time()
        said = [(now - 86400 + n, "INFO:     GET / 200") for n in range(30)]
        said += [(now - 60 * n - 1, "12:00 | ERROR   | prefect.server.x - it fails") for n in range(9, -1, -1)]
        lines = [f"{then:.6f} host python[1]: {text}" for then, text in said]
        number = int(argv[list(argv).index("-n") + 1])
        return Result(tuple(argv), 0, "\n".join((lines[::-1] if "--reverse" in argv else lines)[:number]), "")


def test_of_a_long_log_the_last_lines_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_errors, "LINES", 20)
    monkeypatch.setattr(log_errors, "unit_state", lambda *_: SimpleNamespace(begun=time.monotonic() - 86400))
    (found,) = log_errors.repeated(Journal("/"), "prefect-server")
    assert found.count == 10 and found.lasting and found.age < 30
