"""The agent's two private pipes to the controller: events out, blobs in."""

from __future__ import annotations

import json
import os
import select
import threading
import zlib
from typing import Any, Mapping

from encamp.shared.secret import Redactor
from encamp.shared.wire import HEARTBEAT_SECONDS, Blob

#: The controller answers at once and always reads. When it does neither for this long, the link is dead, and a host
#: must not stay locked until its own TCP finds out (a quarter of an hour).
SILENCE_SECONDS = HEARTBEAT_SECONDS * 4.0


class ControllerGone(Exception):
    """The link to the controller is cut. The step at hand has ended; nothing more is started."""


class Channel:
    """Events to the controller as JSON lines, each redacted; blobs from it, each asked for by hash."""

    def __init__(self, source: int, sink: int, redact: Redactor, silence: float = SILENCE_SECONDS) -> None:
        self._source, self._sink, self._redact, self._silence = source, sink, redact, silence
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._blobs: dict[str, bytes] = {}
        self._gone = False

    @classmethod
    def private(cls, redact: Redactor) -> Channel:
        """Keep stdin and stdout for ourselves: children get /dev/null, and what they print goes to stderr."""
        source, sink = os.dup(0), os.dup(1)
        os.set_inheritable(source, False)
        os.set_inheritable(sink, False)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        return cls(source, sink, redact)

    def send(self, event: dict[str, Any]) -> None:
        """Send one event. Raises ControllerGone when nobody reads any more."""
        line = json.dumps(redacted(event, self._redact)).encode() + b"\n"
        with self._lock:
            try:
                self._write(line)
            except OSError:
                self._gone = True
        if self._gone:
            raise ControllerGone

    def _write(self, data: bytes) -> None:
        """Raises OSError when the other end is closed, or has taken nothing for too long."""
        while data:
            if not select.select([], [self._sink], [], self._silence)[1]:
                raise TimeoutError
            data = data[os.write(self._sink, data[: select.PIPE_BUF]) :]

    def say(self, kind: str, text: str, data: Mapping[str, Any] = {}) -> None:
        """Send a note, a progress line, or a finding with its further fields."""
        self.send({**data, "event": kind, "text": text})

    def fetch(self, blob: Blob) -> bytes:
        """Ask for a blob and prove its hash. The answer is a header line with its length, then zlib data."""
        import hashlib

        data = self._answer({"event": "need", "sha256": blob.sha256})
        if hashlib.sha256(data).hexdigest() != blob.sha256:
            raise ControllerGone
        return data

    def sources(self, module: str) -> Any:
        """Ask for a module that did not come along: ``{name: (is a package, source)}`` of it and what it needs."""
        return json.loads(self._answer({"event": "import", "module": module}))

    def _answer(self, question: dict[str, Any]) -> bytes:
        with self._asking:
            self.send(question)
            header = b""
            while not header.endswith(b"\n"):
                header += self._take(1)
            left, parts = int(header), []
            while left:
                part = self._take(min(left, 65536))
                parts.append(part)
                left -= len(part)
        return zlib.decompress(b"".join(parts))

    def _take(self, count: int) -> bytes:
        readable = select.select([self._source], [], [], self._silence)[0]
        data = os.read(self._source, count) if readable else b""
        if not data:
            raise ControllerGone
        return data

    def start_heartbeat(self) -> None:
        """Tell the controller every few seconds that the agent lives, so that a dead link is told from a long step."""
        beat = threading.Timer(HEARTBEAT_SECONDS, self._beat)
        beat.daemon = True
        beat.start()

    def _beat(self) -> None:
        try:
            self.send({"event": "alive"})
        except ControllerGone:
            return
        self.start_heartbeat()


def redacted(data: Any, redact: Redactor) -> Any:
    """The same data with every known secret replaced, in keys and values."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, dict):
        return {redact(str(key)): redacted(item, redact) for key, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [redacted(item, redact) for item in data]
    return data
