"""How far long work is: bytes sent to the host, packages in an environment."""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path

from encamp.agent.system import Host
from encamp.resources.files.file import File
from encamp.resources.progress import Measure, report_progress
from encamp.resources.python.uv.progress import installing
from tests.agent.conftest import Converge

LOCK = "anyio==4.0 \\\n    --hash=sha256:aa\nhttpx[http2]==1.0 --hash=sha256:bb\n# via\nprefect==3.8.8\n"


def test_a_large_upload_tells_how_far_it_is(converge: Converge, tmp_path: Path) -> None:
    text = base64.b64encode(os.urandom(9 << 20)).decode()
    events = converge(File(str(tmp_path / "large"), text))
    told = [event for event in events if event["event"] == "measure"]
    assert len(told) > 10 and {event["total"] for event in told} == {told[0]["total"]}
    assert [event["done"] for event in told] == sorted({event["done"] for event in told})
    assert told[0]["total"] > 8 << 20 and events[-1]["outcome"] == "ok"
    assert (tmp_path / "large").read_text() == text


def test_a_small_upload_does_not(converge: Converge, tmp_path: Path) -> None:
    events = converge(File(str(tmp_path / "small"), "x" * 100_000))
    assert "measure" not in {event["event"] for event in events}


def test_an_environment_is_counted_from_beside_it(tmp_path: Path) -> None:
    told: list[tuple[str, float, float]] = []
    heard = threading.Event()

    def say(kind: str, text: str, data: dict[str, float]) -> None:
        told.append((text, data["done"], data["total"]))
        heard.set()

    def wait() -> None:
        assert heard.wait(60)
        heard.clear()

    cache, inside = tmp_path / "cache" / "archive-v0", tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    (cache / "of-another-lock").mkdir(parents=True)
    host = Host(lambda blob: b"", say)
    with installing(host, str(tmp_path / "cache"), str(tmp_path / "env"), LOCK):
        wait()
        (cache / "anyio").mkdir()
        wait()
        (inside / "anyio-4.0.dist-info").mkdir(parents=True)
        wait()
    assert told == [
        ("downloading packages: 0 of 3", 0, 3),
        ("downloading packages: 1 of 3", 1, 3),
        ("installing packages: 1 of 3", 1, 3),
    ]


def test_what_cannot_be_looked_at_does_no_harm() -> None:
    def look() -> Measure:
        looked.set()
        raise OSError("gone")

    looked = threading.Event()
    with report_progress(Host(lambda blob: b"", lambda *_: None), look):
        assert looked.wait(60)
