"""Looking ahead tells and does just what taking the steps one by one does."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import given
from hypothesis import strategies as st

from encamp.agent.audit import Audit
from encamp.agent.journal import Journal
from encamp.agent.loop import Loop
from encamp.agent.system import Host
from encamp.planning import plan
from encamp.planning.job import Job, RunIdentity
from encamp.planning.plan import FLUSH, Item, Step
from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import Reader
from encamp.shared.wire import BlobStore
from tests.agent.prefetch_kinds import Adds, Holds, Proof, SlowHolds

FILES = ("a", "b", "c")
TEXTS = ("", "x", "y", "h")
Shape = tuple[int, str, str, tuple[str, ...], bool]
SHAPES = st.tuples(
    st.integers(0, 4),
    st.sampled_from(FILES),
    st.sampled_from(TEXTS),
    st.lists(st.sampled_from(FILES), max_size=2, unique=True).map(tuple),
    st.booleans(),
)


def items(root: Path, shapes: list[Shape]) -> list[Item]:
    """Steps of five kinds on three files, some of which notify handlers that change those files."""
    made: list[Item] = []
    for number, (which, file, text, notified, odd) in enumerate(shapes):
        name, path = f"{number}", str(root / file)
        if which == 4:
            made.append(FLUSH)
            continue
        resource: Resource = [
            Holds(name, path, text),
            SlowHolds(name, path, text),
            Proof(name, path, text, bug=odd),
            SlowHolds(name, path, text),
        ][which]
        notify = tuple(Adds(f"handler of {other}", str(root / other), unless="h") for other in notified)
        made.append(Step(resource, notify, when_changed=odd and which == 3))
    return made


def carried_out(shapes: list[Shape], before: dict[str, str], check: bool, ahead: bool) -> list[Any]:
    """What two runs, one after the other, tell and leave behind."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for file, text in before.items():
            (root / file).write_text(text)
        return [_once(root, shapes, check, ahead) for _ in range(2)]


def _once(root: Path, shapes: list[Shape], check: bool, ahead: bool) -> list[Any]:
    told: list[Any] = []

    def send(event: dict[str, Any]) -> None:
        told.append({key: value for key, value in event.items() if key not in ("seconds", "detail")})

    host = Host(lambda blob: b"", lambda name, text, data={}: send({"event": name, "text": text}))
    job = Job(plan.build("here", items(root, shapes)), RunIdentity("x", "test"), check).wire(BlobStore())
    if not ahead:
        for step in job["steps"]:
            step.pop("ahead", None)
    state = str(root / "state")
    loop = Loop(host, Journal(state, check), Audit(f"{state}/audit", {}), send, job)
    try:
        loop.run()
    except Failure as failure:
        told.append(failure.reason)
    left = {path.name: path.read_text() for path in root.iterdir() if path.is_file()}
    return [told, loop.counts, loop.failed, left, sorted(Journal(state, True).ids())]


@given(
    st.lists(SHAPES, min_size=1, max_size=8),
    st.dictionaries(st.sampled_from(FILES), st.sampled_from(TEXTS[1:])),
    st.booleans(),
)
def test_the_same_events_and_the_same_end_as_one_by_one(
    shapes: list[Shape], before: dict[str, str], check: bool
) -> None:
    assert carried_out(shapes, before, check, ahead=True) == carried_out(shapes, before, check, ahead=False)


@kind
class Meets(Resource):
    """In order as soon as another of its kind is being looked at: it never is, one by one."""

    name: str

    waits: ClassVar[bool] = True
    here: ClassVar[threading.Barrier] = threading.Barrier(2)

    def check(self, host: Reader) -> list[Change]:
        Meets.here.wait(60)
        return []


def test_checks_that_wait_are_under_way_together(tmp_path: Path) -> None:
    host = Host(lambda blob: b"", lambda *said: None)
    told: list[dict[str, Any]] = []
    job = Job(plan.build("here", [Meets("a"), Meets("b")]), RunIdentity("x", "test")).wire(BlobStore())
    loop = Loop(host, Journal(str(tmp_path), False), Audit(str(tmp_path / "audit"), {}), told.append, job)
    loop.run()
    assert loop.counts["ok"] == 2


def test_a_reading_is_made_once_by_whoever_comes_first() -> None:
    host, made = Host(lambda blob: b"", lambda *said: None), []

    def read() -> int:
        time.sleep(0.05)
        made.append(1)
        return len(made)

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(host.recording([]).once("key", read))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8
    host.forget()
    assert host.once("key", read) == 2
