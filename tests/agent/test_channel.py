"""The agent's end of the pipes to the controller."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import zlib
from collections.abc import Iterator

import pytest

from encamp.agent import step_timeout
from encamp.agent.channel import Channel
from encamp.shared.secret import Redactor
from encamp.shared.wire import Blob

DATA = bytes(range(256)) * 64


class Pipes:
    """A channel, and the controller's ends of its pipes."""

    def __init__(self) -> None:
        source, self.answers = os.pipe()
        self.questions, sink = os.pipe()
        self.channel = Channel(source, sink, Redactor(), silence=20)
        self.channel.listen()

    def asked(self) -> dict[str, str]:
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self.questions, 1)
        found: dict[str, str] = json.loads(line)
        return found

    def answer(self, data: bytes, pause: float = 0) -> None:
        packed = zlib.compress(data, 0)
        os.write(self.answers, b"%d\n" % len(packed) + packed[:100])
        time.sleep(pause)
        os.write(self.answers, packed[100:])


@pytest.fixture
def pipes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipes]:
    monkeypatch.setattr(step_timeout, "AGAIN_SECONDS", 0.1)
    made = Pipes()
    yield made
    step_timeout.disarm()
    os.close(made.answers)


def test_a_timeout_within_an_answer_leaves_none_of_it_for_the_next_question(pipes: Pipes) -> None:
    """The report of the failure may ask for a module: the rest of a file would be taken for it."""

    def controller() -> None:
        assert pipes.asked()["event"] == "need"
        pipes.answer(DATA, pause=0.5)
        assert pipes.asked() == {"event": "import", "module": "x"}
        pipes.answer(b'{"x": [false, ""]}')

    thread = threading.Thread(target=controller)
    thread.start()
    step_timeout.arm(0.2)
    with pytest.raises(step_timeout.StepTimedOut):
        try:
            assert pipes.channel.fetch(Blob(hashlib.sha256(DATA).hexdigest(), len(DATA))) == DATA
            time.sleep(5)
        finally:
            step_timeout.disarm()
    assert pipes.channel.sources("x") == {"x": [False, ""]}
    thread.join()


def test_another_thread_does_not_hold_it(pipes: Pipes) -> None:
    def ask() -> None:
        pipes.channel.sources("x")

    thread = threading.Thread(target=ask)
    thread.start()
    assert pipes.asked()["event"] == "import"
    step_timeout.arm(0.05)
    with pytest.raises(step_timeout.StepTimedOut):
        time.sleep(5)
    step_timeout.disarm()
    pipes.answer(b"{}")
    thread.join()
