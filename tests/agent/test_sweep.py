"""The agent killed before each call that changes something, and a disk that is full from each on.

Whatever the point: the next run converges, what reads the files is restarted, and nothing is left lying about.
"""

from __future__ import annotations

import contextlib
import getpass
import grp
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from encamp.agent import old_names
from encamp.agent.channel import Channel, ControllerGone
from encamp.agent.journal import Journal
from encamp.errors import HostFailed
from encamp.planning.plan import FLUSH, Item, Step
from encamp.resources.command import Command
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File
from encamp.resources.files.symlink import Symlink
from encamp.shared.secret import Redactor, Secret
from tests.agent.conftest import Converge, start_agent, statuses, wait_for
from tests.agent.kinds import Needs, Started
from tests.spread import Spread

ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
FAULTY = Path(__file__).parent.parent / "lab" / "faulty_python.py"
OLD, NEW = "PORT=4200\n", "PORT=4300\n"
#: More calls than the plan below makes.
ENOUGH = 100


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """An interpreter that harms the agent."""
    folder = tmp_path / "faulty"
    folder.mkdir()
    program = folder / "python3"
    program.write_text(f"#!{sys.executable} -IS\n{FAULTY.read_text('utf-8')}", "utf-8")
    program.chmod(0o755)
    return program


def plan(root: Path, content: str) -> list[Item]:
    """A service in small: settings, a secret, a release; what runs has read them."""
    service = Started(str(root / "running"), (str(root / "etc/env"), str(root / "etc/password"), str(root / "release")))
    return [
        Directory(str(root / "etc"), mode=0o750, **ME),
        Step(File(str(root / "etc/env"), content, mode=0o640, **ME), (service,)),
        Step(File(str(root / "etc/password"), Secret(f"secret {content}"), mode=0o600, **ME), (service,)),
        Step(Symlink(str(root / "release"), f"/releases/{content.strip()}"), (service,)),
        FLUSH,
        Step(Needs(str(root / "running")), when_changed=True),
    ]


def harmed(converge: Converge, faulty: Path, items: list[Item], **fault: Any) -> list[dict[str, Any]]:
    """A run with a fault in it; its events as far as it came."""
    (faulty.parent / "fault.json").write_text(json.dumps(fault), "utf-8")
    with contextlib.suppress(HostFailed):
        return converge(*items, python=str(faulty))
    return []


def settled(root: Path, content: str) -> None:
    """All is as declared, what runs has read it, and nothing else lies about."""
    assert (root / "etc/env").read_text() == content
    assert (root / "etc/env").stat().st_mode & 0o777 == 0o640
    assert (root / "etc/password").read_text() == f"secret {content}"
    assert (root / "etc/password").stat().st_mode & 0o777 == 0o600
    assert (root / "running").read_text() == f"{content}secret {content}/releases/{content.strip()}"
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
    assert found == ["etc", "etc/env", "etc/password", "release", "running"]


def whole(root: Path) -> None:
    """Whatever was cut off: each file is the old one or the new one, and no secret is there to read."""
    for name, mode, contents in (
        ("etc/env", 0o640, (OLD, NEW)),
        ("etc/password", 0o600, (f"secret {OLD}", f"secret {NEW}")),
    ):
        assert (root / name).read_text() in contents
        assert (root / name).stat().st_mode & 0o777 == mode
    for path in root.rglob("*.encamp-new"):
        assert path.is_symlink() or path.stat().st_mode & 0o007 == 0


def rounds(
    converge: Converge, faulty: Path, root: Path, do: str, spread: Spread
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Change ``root`` to and fro, with the fault at one point after the other."""
    contents = [OLD, NEW]
    assert converge(*plan(root, OLD))[-1]["outcome"] == "ok"
    assert harmed(converge, faulty, plan(root, NEW), call=ENOUGH, do=do)[-1]["outcome"] == "ok"
    points = range(1, len((faulty.parent / "points").read_text("utf-8").splitlines()) + 1)
    assert 30 < len(points) < ENOUGH
    for number, point in enumerate(spread.over(points, 12)):
        content = contents[number % 2]
        events = harmed(converge, faulty, plan(root, content), call=point, do=do)
        assert len((faulty.parent / "points").read_text("utf-8").splitlines()) >= point, "it did not come that far"
        whole(root)
        yield point, events
        again = converge(*plan(root, content))
        assert again[-1]["outcome"] == "ok", (point, again)
        settled(root, content)
        assert os.listdir(root.parent / "state") == ["audit.jsonl"]


@pytest.mark.sweep
def test_killed_before_each_call_that_changes_something(
    converge: Converge, faulty: Path, spread: Spread, tmp_path: Path
) -> None:
    for _, events in rounds(converge, faulty, tmp_path / "root", "kill", spread):
        assert not events, "it was not killed"


@pytest.mark.sweep
def test_a_disk_that_is_full_from_each_such_call_on(
    converge: Converge, faulty: Path, spread: Spread, tmp_path: Path
) -> None:
    outcomes = []
    for _, events in rounds(converge, faulty, tmp_path / "root", "full", spread):
        end = events[-1]
        assert end["event"] == "done", end
        if end["outcome"] == "failed":
            (failure,) = (event for event in events if event.get("status") == "failed")
            assert "No space left on device" in failure["reason"] and "free some space" in failure["fix"], failure
            assert ".encamp-new" not in failure["reason"]
        outcomes.append(end["outcome"])
    assert outcomes.count("failed") > len(outcomes) / 2


def test_a_unit_that_starts_while_its_file_is_being_changed_is_still_due(tmp_path: Path) -> None:
    """The mark is open until the change is made; one that a killed run left open counts from the next run's begin."""
    journal = Journal(str(tmp_path), read_only=False)
    journal.notify({"Restart:x": {}})
    started_meanwhile = time.monotonic()
    assert Journal(str(tmp_path), read_only=False).handler("Restart:x")[1].monotonic > started_meanwhile
    journal.confirm(["Restart:x"])
    assert Journal(str(tmp_path), read_only=False).handler("Restart:x")[1].monotonic < time.monotonic()


def test_what_a_killed_run_left_at_work_is_waited_for(
    converge: Converge, payload: Callable[..., bytes], tmp_path: Path
) -> None:
    """A command of the dead agent goes on; the next run names it, and begins when it has ended."""
    done = tmp_path / "done"
    command = Command("slow", ("sh", "-c", f"touch {tmp_path}/begun; sleep 3; touch {done}"), creates=str(done))
    agent = start_agent()
    assert agent.stdin
    agent.stdin.write(payload(command))
    agent.stdin.flush()
    wait_for(tmp_path / "begun")
    agent.kill()
    agent.wait(timeout=60)
    assert not done.exists()
    events = converge(command)
    assert events[-1]["outcome"] == "ok" and statuses(events) == {"Command:slow": "ok"}
    told = [event["text"] for event in events if event["event"] in ("progress", "note")]
    assert re.match(r"waiting for processes of an interrupted run: .*sh \(\d+\)", told[0])
    assert told[1] == "test by tester was interrupted; this run continues from there"


def test_a_controller_that_neither_answers_nor_closes_is_given_up(tmp_path: Path) -> None:
    """As behind a network that drops everything: the agent must not hold the lock until TCP gives up."""
    (question, sink), (source, answer) = os.pipe(), os.pipe()
    channel = Channel(source, sink, Redactor(), silence=0.2)
    with pytest.raises(ControllerGone):
        channel.sources("encamp.resources.files.file")
    with pytest.raises(ControllerGone):
        while True:  # until the pipe is full, for nobody reads
            channel.send({"event": "note", "text": "x" * 3000})
    for end in (question, sink, source, answer):
        os.close(end)


def test_a_handler_that_no_version_knows_any_more_is_handed_over_once(converge: Converge, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    wire = {"kind": "encamp.resources.gone:Gone", "fields": {"name": "x"}}
    pending = {"Gone:x": {"resource": wire, "mark": ["a boot", 1.0]}}
    (tmp_path / "state/pending.json").write_text(json.dumps(pending))
    file = File(str(tmp_path / "f"), **ME)
    first, second = converge(file), converge(file)
    assert first[-1]["outcome"] == second[-1]["outcome"] == "ok"
    note = next(event["text"] for event in first if event["event"] == "note")
    assert note.startswith("Gone:x is pending from another version of encamp")
    assert not any(event["event"] == "note" for event in second)


def test_a_handler_left_under_an_old_name_is_due_under_its_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = {"kind": "old.place:Rule", "fields": {"port": 1}}
    left = {"Go:x": {"resource": {"kind": "old.place:Go", "fields": {"rules": [rule]}}, "mark": ["a boot", 1.0]}}
    (tmp_path / "pending.json").write_text(json.dumps(left))
    assert Journal(str(tmp_path), read_only=True).handler("Go:x")[0] == left["Go:x"]["resource"]
    monkeypatch.setitem(old_names.NAMES, "old.place:Go", "new.place:Go")
    monkeypatch.setitem(old_names.NAMES, "old.place:Rule", "new.place:Opening")
    assert Journal(str(tmp_path), read_only=True).handler("Go:x")[0] == {
        "kind": "new.place:Go",
        "fields": {"rules": [{"kind": "new.place:Opening", "fields": {"port": 1}}]},
    }
