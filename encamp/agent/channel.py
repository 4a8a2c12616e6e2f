"""The agent's two private pipes to the controller: events out, blobs in."""

from __future__ import annotations

import json
import os
import select
import threading
import time
import zlib
from typing import Any, Mapping

from encamp.agent import step_timeout
from encamp.shared.secret import Redactor
from encamp.shared.wire import HEARTBEAT_SECONDS, SILENCE_LIMIT, Blob


class ControllerGone(Exception):
    """The connection to the controller is lost. The current step has ended; no further step starts."""


class Channel:
    """Events to the controller as JSON lines, each redacted; blobs from it, each requested by hash."""

    def __init__(self, source: int, sink: int, redact: Redactor, silence: float = SILENCE_LIMIT) -> None:
        self._source, self._sink, self._redact, self._silence = source, sink, redact, silence
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._blobs: dict[str, bytes] = {}
        self._gone = self._closed = False
        self._arrived = threading.Condition()
        self._inbox = bytearray()
        self._heard = 0.0

    @classmethod
    def private(cls, redact: Redactor) -> Channel:
        """Reserve stdin and stdout for the agent: children read /dev/null, and what they print goes to stderr."""
        source, sink = os.dup(0), os.dup(1)
        os.set_inheritable(source, False)
        os.set_inheritable(sink, False)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        channel = cls(source, sink, redact)
        channel.listen()
        return channel

    def listen(self) -> None:
        """Start reading what the controller sends."""
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, event: dict[str, Any]) -> None:
        """Send one event. Raises ControllerGone when the controller no longer reads."""
        line = json.dumps(redacted(event, self._redact)).encode() + b"\n"
        with self._lock:
            try:
                if not self._gone:
                    self._write(line)
            except OSError:
                self._gone = True
        if self._gone:
            raise ControllerGone

    def _write(self, data: bytes) -> None:
        """Raises OSError when the other end is closed, or has read nothing for too long."""
        while data:
            if not select.select([], [self._sink], [], self._silence)[1]:
                raise TimeoutError
            data = data[os.write(self._sink, data[: select.PIPE_BUF]) :]

    def say(self, kind: str, text: str, data: Mapping[str, Any] = {}) -> None:
        """Send a note, a progress line, or a finding with its further fields."""
        self.send({**data, "event": kind, "text": text})

    def fetch(self, blob: Blob) -> bytes:
        """Request a blob and verify its hash. The answer is a header line with its length, then zlib data."""
        import hashlib

        data = self._answer({"event": "need", "sha256": blob.sha256})
        if hashlib.sha256(data).hexdigest() != blob.sha256:
            raise ControllerGone
        return data

    def sources(self, module: str) -> Any:
        """Request a module that was not sent: ``{name: (is a package, source)}`` of it and its imports."""
        return json.loads(self._answer({"event": "import", "module": module}))

    def knock(self, address: str, port: int) -> Any:
        """Let the controller connect to a port from where it is, and report how that ended."""
        return json.loads(self._answer({"event": "knock", "address": address, "port": port}))

    def _answer(self, question: dict[str, Any]) -> bytes:
        with self._asking, step_timeout.held():
            self.send(question)
            header = b""
            while not header.endswith(b"\n"):
                header = (header + self._take(1)).lstrip(b"\n")  # an empty line answers a heartbeat
            left, parts = int(header), []
            while left:
                part = self._take(min(left, 65536))
                parts.append(part)
                left -= len(part)
        return zlib.decompress(b"".join(parts))

    def _take(self, count: int) -> bytes:
        """The next bytes from the controller. Raises ControllerGone when it closed the connection, or is silent for too
        long."""
        with self._arrived:
            while not self._inbox:
                if self._gone or self._closed:
                    raise ControllerGone
                if not self._arrived.wait(self._silence):
                    raise ControllerGone
            data = bytes(self._inbox[:count])
            del self._inbox[:count]
        return data

    def _listen(self) -> None:
        """Read what arrives, in a separate thread: a live controller answers every heartbeat."""
        while not self._closed:
            data = self._read()
            with self._arrived:
                self._closed = not data
                self._inbox += data
                self._heard = time.monotonic()
                self._arrived.notify()

    def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._source, 65536)
            except BlockingIOError:
                select.select([self._source], [], [])
            except OSError:
                return b""

    def start_heartbeat(self) -> None:
        """Send a heartbeat every few seconds, so that the controller can tell a dead connection from a long step.

        The controller answers each. Once it has, and is then silent for its own limit, it counts as gone: a host must
        not stay locked until TCP times out (a quarter of an hour).
        """
        self._schedule_beat()

    def _schedule_beat(self) -> None:
        beat = threading.Timer(HEARTBEAT_SECONDS, self._beat)
        beat.daemon = True
        beat.start()

    def _beat(self) -> None:
        if self._heard and not self._closed and time.monotonic() - self._heard > self._silence:
            with self._arrived:
                self._gone = True
                self._arrived.notify()
            return
        try:
            self.send({"event": "alive"})
        except ControllerGone:
            return
        self._schedule_beat()


def redacted(data: Any, redact: Redactor) -> Any:
    """The same data with every known secret replaced, in keys and values."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, dict):
        return {redact(str(key)): redacted(item, redact) for key, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [redacted(item, redact) for item in data]
    return data
