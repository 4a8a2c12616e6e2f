"""The two streams of one exec: input and output of the agent, and before it of sudo."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Protocol

from encamp.errors import BecomeRefused, EncampError, HostFailed, Unreachable
from encamp.shared.wire import PART_SIZE, PROTOCOL, SILENCE_LIMIT
from encamp.transport import launch_errors
from encamp.transport.events import HostEvent
from encamp.transport.launch import LaunchSpec
from encamp.transport.traffic import Traffic

BOOT_TIMEOUT = 60.0
#: In the line, not at its start: a login shell's start-up files may print something without a line end.
READY = re.compile(rb"READY (\d+) (\d+)\.(\d+)\.\d+((?: [0-9a-f]{64})*)\s*\Z")
#: What stands on standard error for so long, and ends as questions do, is one.
QUESTION_SECONDS = 5.0
_QUESTION = re.compile(r"[^\n]*[:?>\])]\s*\Z")
TAIL_LINES = 8
#: Bytes of an upload between two events about its progress.
MEASURE_BYTES = 512 * 1024


class Channel(Protocol):
    """One command on a host, over paramiko, OpenSSH or a child process: a socket's time-outs, OSError once closed."""

    @property
    def eof_received(self) -> bool | int:
        """Whether the command ended, and not the connection to it."""
        ...

    def settimeout(self, timeout: float | None, /) -> None: ...

    def sendall(self, data: bytes, /) -> None: ...

    def recv(self, size: int, /) -> bytes: ...

    def recv_stderr(self, size: int, /) -> bytes: ...

    def recv_exit_status(self) -> int: ...

    def close(self) -> None: ...


class Session:
    """The two streams of one exec. Standard error is drained in a thread: sudo prompts there."""

    def __init__(self, channel: Channel, remote: LaunchSpec, prompt: str, traffic: Traffic) -> None:
        self._channel, self._remote, self._prompt, self._traffic = channel, remote, prompt, traffic
        self._shown_prompt = re.compile(rf"(?:\[sudo: )?{re.escape(prompt)}(?:\] Password: ?)?")  # so sudo-rs shows it
        self._buffer = b""
        self._errors = ""
        self._heard: list[str] = []
        self.kept: list[str] = []
        self._refusal: BecomeRefused | None = None
        self._answered = 0  # of ``_errors``: what stands there has been dealt with
        self._password_sent = False
        self._drain = threading.Thread(target=self._read_errors, daemon=True)
        self._drain.start()
        traffic.execs += 1

    def close(self) -> None:
        self._channel.close()

    def await_ready(self) -> None:
        """Wait for READY, giving the sudo password if, and only when, sudo asks with our own prompt.

        Then ``kept`` holds the hashes of the sources that the host has kept.
        """
        for line in self._lines(BOOT_TIMEOUT, starting=True):
            found = READY.search(line)
            if found:
                self.kept = found[4].decode().split()
                return self._accept(*map(int, found.groups()[:3]))
            self._heard = [*self._heard, line.decode("utf-8", "replace").strip()][-TAIL_LINES:]
        self._drain.join(5)
        if self._refusal:
            raise self._refusal
        raise launch_errors.of_agent(self._remote, self.errors, self._heard, self._channel.recv_exit_status())

    def await_end(self, silence: float) -> None:
        """Wait until a command other than the agent has ended. Raises HostFailed where it failed."""
        for _ in self._lines(silence):
            pass
        self._drain.join(5)
        if self._refusal or self._channel.recv_exit_status() != 0:
            raise self._refusal or launch_errors.of_install(self.errors)

    def _accept(self, protocol: int, major: int, minor: int) -> None:
        if protocol != PROTOCOL:
            raise HostFailed(f"the agent uses protocol {protocol}, this encamp {PROTOCOL}")
        if (major, minor) < (3, 9):
            raise HostFailed(
                f"{self._remote.python} on the host is Python {major}.{minor}; 3.9 is the oldest that works",
                "install a newer Python there and name it with ansible_python_interpreter",
            )

    def send(self, data: bytes) -> bool:
        """Whether the host takes it. One that does not has ended: its last words may still be unread, and the reading
        side reports why. Raises Unreachable when the send times out, perhaps halfway."""
        self._traffic.sent += len(data)
        try:
            self._channel.sendall(data)
        except TimeoutError:
            raise Unreachable("the host stopped reading (send timed out)", launch_errors.AGAIN) from None
        except OSError:
            return False
        return True

    def cut_short(self) -> EncampError:
        """What an end before the last event means: of the connection, or of the agent alone."""
        if not self._channel.eof_received:
            return Unreachable("the connection broke before the agent had finished", launch_errors.AGAIN)
        self._drain.join(5)
        return launch_errors.of_end(self.errors, self._channel.recv_exit_status())

    def send_blob(self, data: bytes) -> Iterator[HostEvent]:
        """Send a blob; for a large one, events report the bytes sent so far."""
        packed = zlib.compress(data, 1 if len(data) > 1 << 20 else -1)  # parts of large files are packed already
        self.send(b"%d\n" % len(packed))
        for at in range(0, len(packed), MEASURE_BYTES):
            if len(packed) > PART_SIZE:  # the parts of a larger file are counted by who asked for them
                yield {"event": "measure", "text": "", "done": at, "total": len(packed)}
            if not self.send(packed[at : at + MEASURE_BYTES]):
                return

    def lines(self) -> Iterator[bytes]:
        """Event lines until the agent ends. The agent says something at least every heartbeat."""
        return self._lines(SILENCE_LIMIT)

    def _lines(self, silence: float, starting: bool = False) -> Iterator[bytes]:
        self._channel.settimeout(min(silence, QUESTION_SECONDS) if starting else silence)
        end = time.monotonic() + silence
        while True:
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                yield line
            try:
                data = self._channel.recv(65536)
            except TimeoutError:
                if starting and self._remote.become and self._answer_question():
                    end = time.monotonic() + silence
                if starting and time.monotonic() < end:
                    continue
                if starting and self._password_sent:
                    raise launch_errors.silent_sudo(silence) from None
                reason = f"nothing received from the host for {silence:.0f} s"
                raise Unreachable(reason, "check the network, then run again") from None
            if not data:
                return
            self._traffic.received += len(data)
            self._buffer += data
            end = time.monotonic() + silence

    def _answer_question(self) -> bool:
        """Have a person answer what sudo asks in other words than our prompt, such as for a code. Whether it asked.

        Raises BecomeRefused where there is nobody to ask.
        """
        said = self._errors
        found = _QUESTION.search(self._shown_prompt.split(said[self._answered :])[-1])
        if not found or self._refusal:
            return False
        question = found[0].strip()
        if self._remote.ask is None:
            raise launch_errors.asks_otherwise(question)
        self._answered = len(said)
        self._send_answer(self._remote.ask(f"{self._remote.name}: sudo asks: {question} ", False))
        return True

    def _send_answer(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the reading side reports why
            self._channel.sendall(text.encode() + b"\n")

    def _read_errors(self) -> None:
        """Drain standard error for as long as the session lasts; a time-out only means that nothing was printed."""
        asked = 0
        while True:
            try:
                data = self._channel.recv_stderr(4096)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            self._traffic.received += len(data)
            self._errors = (self._errors + data.decode("utf-8", "replace"))[-20000:]
            prompts = self._errors.count(self._prompt)
            if prompts > asked:
                asked = prompts
                self._answer_prompt(asked)

    def _answer_prompt(self, times: int) -> None:
        password = self._remote.password
        if times == 1 and password is not None:
            self._password_sent = True
            return self._send_answer(password.reveal())
        said = self._shown_prompt.split(self._errors)[-2].strip()
        if password is None:
            self._refusal = launch_errors.password_wanted()
        elif launch_errors.says_wrong(said):
            self._refusal = launch_errors.wrong_password(said)
        elif self._remote.ask is not None:
            return self._send_answer(self._remote.ask(f"{self._remote.name}: sudo asks again (a code?): ", False))
        else:
            self._refusal = launch_errors.asked_again(said)
        self._channel.close()

    @property
    def errors(self) -> str:
        """The last lines of standard error, without our own prompt."""
        return "\n".join(self._shown_prompt.sub("", self._errors).strip().splitlines()[-TAIL_LINES:])
