"""A restore that fails on the way: what is put back, whatever made it fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import Reader, System
from roles.backup.kinds import restored
from roles.backup.kinds.program import Program
from roles.backup.kinds.restored import DatabaseRestored
from tests.unit.resources.case_host import CaseHost

UNIT = "prefect-server.service"


class Gone(Exception):
    """The controller went away."""


class Host:
    """A host whose progress nobody hears from some point on."""

    def __init__(self) -> None:
        self.gone, self.said = False, list[str]()

    def progress(self, text: str) -> None:
        if self.gone:
            raise Gone
        self.said.append(text)

    note = progress


@kind
class Unhealthy(Resource):
    """Something that does not hold; with ``leaves`` the controller goes away meanwhile."""

    name: str
    leaves: bool = False

    def check(self, host: Reader) -> list[Change]:
        return [Change("health")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        found: Any = host
        found.gone = self.leaves
        host.progress("waiting")
        raise Failure("not healthy", "a cause", "a fix")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to the host, in order."""
    done: list[str] = []

    def call(self: Program, host: Reader, command: str, *words: str, timeout: float = 0) -> dict[str, Any]:
        done.append(command)
        aside = words[words.index("--aside") + 1] if "--aside" in words else ""
        return {"name": "b1", "notes": [], "rows": 3, "aside": "" if "empty" in self.config else aside}

    def shut(host: System, unit: str) -> None:
        done.append("shut")
        host.progress("stopping")

    monkeypatch.setattr(Program, "call", call)
    monkeypatch.setattr(restored, "shut", shut)
    monkeypatch.setattr(restored, "open_again", lambda host, unit: done.append("open"))
    monkeypatch.setattr(restored, "start_command", lambda host, unit: "a command")
    monkeypatch.setattr(restored, "change_state", lambda host, verb, unit: done.append(verb))
    return done


@pytest.mark.parametrize(("leaves", "again"), [(False, ["shut"]), (True, ["shut", "stop"])])
def test_the_old_database_comes_back_though_nobody_is_told(done: list[str], leaves: bool, again: list[str]) -> None:
    host: Any = Host()
    wanted = DatabaseRestored("prefect", "python3", "c", UNIT, "prefect", health=(Unhealthy("server", leaves),))
    with pytest.raises(Gone if leaves else Failure) as caught:
        wanted.apply(host, ())
    assert done == ["check", "load", "shut", "swap", "open", *again, "swap", "drop", "open"]
    if not leaves:
        assert "not healthy; the database is as it was, and the server was started on it" in str(caught.value)


def test_what_cannot_be_put_back_is_told_with_both_names(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    swaps = iter([None, Failure("in use by others")])
    call = Program.call

    def failing(self: Program, host: Reader, command: str, *words: str, timeout: float = 0) -> Any:
        problem = next(swaps) if command == "swap" else None
        if problem:
            raise problem
        return call(self, host, command, *words, timeout=timeout)

    monkeypatch.setattr(Program, "call", failing)
    host: Any = Host()
    wanted = DatabaseRestored("prefect", "python3", "c", UNIT, "prefect", health=(Unhealthy("server"),))
    with pytest.raises(Failure) as caught:
        wanted.apply(host, ())
    assert "so did putting the old database back: in use by others" in caught.value.reason
    assert "prefect_before_" in caught.value.fix and "prefect_restore_" in caught.value.fix


def test_where_there_was_no_database_the_restored_one_stays(done: list[str]) -> None:
    host: Any = Host()
    health = (Unhealthy("server"),)
    with pytest.raises(Failure, match="there was no database before: prefect is what the backup has"):
        DatabaseRestored("prefect", "python3", "empty", UNIT, "prefect", health=health).apply(host, ())
    assert done == ["check", "load", "shut", "swap", "open"]
    DatabaseRestored("prefect", "python3", "empty", UNIT, "prefect").apply(host, ())
    assert not any("deletes it" in text for text in host.said), "there is none to delete"


def test_the_advice_starts_a_server_behind_a_door() -> None:
    door = "/etc/systemd/system/prefect-door.service"
    host: Any = CaseHost({"files": {door: "# Managed by encamp\n"}, "units": {"prefect-door.service": {}}})
    assert restored.start_command(host, UNIT) == "`fab -H HOST maintenance off`"
    assert restored.start_command(host, "prefect-server-b.service") == "`systemctl start prefect-server-b.service`"
