"""Data is brought whole, or not at all; what an earlier takeover brought is kept. Databases for real: test_adopt."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.docker import api as docker
from roles.adopt.kinds.data import Target, move_data
from tests.unit.resources.case_host import CaseHost

DATA = {"kind": "file in container", "container": "prefect", "path": "/root/.prefect/prefect.db"}
TARGET = Target("/data/prefect.db", "", "prefect")


class Host(CaseHost):
    """Renames for real, and puts a file where the copying program would."""

    def run(self, argv: Any, *more: Any, **named: Any) -> Any:
        if argv[0] == "python3":
            self._put({argv[-1]: "copied"})
        return super().run(argv, *more, **named)

    def rename(self, source: str, target: str) -> None:
        self._do(f"rename {source} {target}")
        self._tree[target] = self._tree.pop(source)


def moved(statuses: dict[str, int], monkeypatch: pytest.MonkeyPatch, **more: Any) -> Host:
    """Bring a container's file; ``statuses``: what the engine answers about each file that it has."""

    def call(method: str, path: str) -> tuple[int, bytes]:
        assert method == "HEAD"
        return statuses.get(path.rpartition("%2F")[2], 404), b""

    monkeypatch.setattr(docker, "call", call)
    host = Host(more)
    move_data(host, DATA, TARGET, "/f")
    return host


def test_the_write_ahead_log_comes_along_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    host = moved({"prefect.db": 200, "prefect.db-wal": 200}, monkeypatch)
    copies = [what for what, _ in host.done if what.startswith("docker cp")]
    assert copies == [
        "docker cp prefect:/root/.prefect/prefect.db /f/from-container/db",
        "docker cp prefect:/root/.prefect/prefect.db-wal /f/from-container/db-wal",
    ]
    assert host.read("/data/prefect.db") == b"copied"


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        ({}, "has no file /root/.prefect/prefect.db"),
        ({"prefect.db": 200, "prefect.db-wal": 500}, "answers 500 about /root/.prefect/prefect.db-wal"),
    ],
)
def test_what_the_engine_does_not_say_is_not_taken_for_missing(
    statuses: dict[str, int], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Failure, match=words):
        moved(statuses, monkeypatch)


def test_a_log_that_cannot_be_copied_ends_the_takeover(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandFailed, match=r"docker cp prefect:/root/.prefect/prefect\.db-wal"):
        moved(
            {"prefect.db": 200, "prefect.db-wal": 200},
            monkeypatch,
            answers={"docker cp *-wal *": {"code": 1, "err": "no space left on device"}},
        )


def test_an_earlier_file_is_set_aside_after_its_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off in between, no log is left that the next file would be read with."""
    present = {f"/data/prefect.db{end}": {"text": "old", "mtime": 5.0} for end in ("", "-wal", "-shm")}
    host = moved({"prefect.db": 200}, monkeypatch, files=present)
    aside = [what for what, _ in host.done if ".before-5" in what]
    assert [what.split()[1] for what in aside] == ["/data/prefect.db-shm", "/data/prefect.db-wal", "/data/prefect.db"]
    assert host.read("/data/prefect.db.before-5-wal") == b"old"
    assert host.notes == ["/data/prefect.db of an earlier takeover is kept as /data/prefect.db.before-5"]
