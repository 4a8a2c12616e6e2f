"""One exec on an open SSH connection: boots the agent and talks to it."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import shlex
import threading
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from encamp import bundle
from encamp.agent.boot import STAGE0
from encamp.errors import BecomeRefused, HostFailed, Unreachable
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.shared.wire import HEARTBEAT_SECONDS, PART_SIZE, PROTOCOL, BlobStore

if TYPE_CHECKING:
    from paramiko import Channel

    from encamp.local import LocalChannel

BOOT_TIMEOUT = 60.0
SILENCE_LIMIT = HEARTBEAT_SECONDS * 3.0
READY = re.compile(rb"READY (\d+) (\d+)\.(\d+)\.\d+((?: [0-9a-f]{64})*)\s*\Z")
#: What shells and sudo say of a program that is not there.
MISSING = re.compile("not found|No such file|Unknown command")
TAIL_LINES = 8
#: Bytes of an upload between two events that tell how far it is.
MEASURE_BYTES = 512 * 1024


@dataclasses.dataclass
class Traffic:
    """What a run cost on the wire: execs, and bytes sent and received inside the SSH channel."""

    execs: int = 0
    sent: int = 0
    received: int = 0


class Link(Protocol):
    """An open way to a host, SSH or local."""

    def execute(self, command: str) -> Channel | LocalChannel:
        """Start a command in a session of its own."""
        ...

    def close(self) -> None: ...


@record
class Remote:
    """How the agent is started on a host: which Python, whether as root, with which sudo password."""

    name: str
    python: str = "python3"
    become: bool = True
    password: Secret | None = None


def converse(
    link: Link, remote: Remote, payload: bundle.Payload, store: BlobStore, traffic: Traffic
) -> Iterator[dict[str, Any]]:
    """Boot the agent on an open link, send ``payload``, answer its requests for blobs, yield its events.

    Raises Unreachable when the link dies or falls silent, BecomeRefused when root is not to be had, HostFailed when
    there is no usable Python.
    """
    prompt = f"[encamp {secrets.token_hex(8)}] "
    channel = link.execute(command_line(remote, prompt))
    traffic.execs += 1
    session = _Session(channel, remote, prompt, traffic)
    try:
        session.send(payload.beyond(session.await_ready()))
        for line in session.lines():
            event = json.loads(line)
            if event["event"] == "need":
                yield from session.send_blob(store.get(event["sha256"]))
            elif event["event"] == "import":
                yield from session.send_blob(json.dumps(bundle.on_demand(event["module"])).encode())
            elif event["event"] != "alive":
                yield event
    finally:
        channel.close()


def command_line(remote: Remote, prompt: str) -> str:
    """Stage 0 as a command line. It holds no data."""
    argv = [remote.python, "-I", "-S", "-c", STAGE0]
    if remote.become:
        argv = ["sudo", "-S", "-p", prompt, "-H", "--", *argv]
    return shlex.join(argv)


class _Session:
    """The two streams of one exec. Standard error is drained in a thread: sudo prompts there."""

    def __init__(self, channel: Channel | LocalChannel, remote: Remote, prompt: str, traffic: Traffic) -> None:
        self._channel, self._remote, self._prompt, self._traffic = channel, remote, prompt, traffic
        self._buffer = b""
        self._errors = ""
        self._heard: list[str] = []
        self._refusal = ""
        self._drain = threading.Thread(target=self._read_errors, daemon=True)

    def await_ready(self) -> list[str]:
        """Wait for READY, giving the sudo password if, and only when, sudo asks with our own prompt.

        Returns the hashes of the sources that the host has kept.
        """
        self._drain.start()
        for line in self._lines(BOOT_TIMEOUT):
            found = READY.match(line)
            if found:
                self._accept(*map(int, found.groups()[:3]))
                return found[4].decode().split()
            self._heard = [*self._heard, line.decode("utf-8", "replace").strip()][-TAIL_LINES:]
        raise self._boot_failure()

    def _accept(self, protocol: int, major: int, minor: int) -> None:
        if protocol != PROTOCOL:
            raise HostFailed(f"the agent speaks protocol {protocol}, this encamp {PROTOCOL}")
        if (major, minor) < (3, 9):
            raise HostFailed(
                f"{self._remote.python} on the host is Python {major}.{minor}; 3.9 is the oldest that works",
                "install a newer Python there and name it with ansible_python_interpreter",
            )

    def send(self, data: bytes) -> None:
        self._traffic.sent += len(data)
        try:
            self._channel.sendall(data)
        except OSError as error:
            raise Unreachable(f"the connection broke while sending: {error}") from error

    def send_blob(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Send a blob; of a large one an event tells now and then how many bytes are on their way."""
        packed = zlib.compress(data, 1 if len(data) > 1 << 20 else -1)  # parts of large files are packed already
        self.send(b"%d\n" % len(packed))
        for at in range(0, len(packed), MEASURE_BYTES):
            if len(packed) > PART_SIZE:  # the parts of a larger file are counted by who asked for them
                yield {"event": "measure", "text": "", "done": at, "total": len(packed)}
            self.send(packed[at : at + MEASURE_BYTES])

    def lines(self) -> Iterator[bytes]:
        """Event lines until the agent ends. The agent says something at least every heartbeat."""
        return self._lines(SILENCE_LIMIT)

    def _lines(self, silence: float) -> Iterator[bytes]:
        self._channel.settimeout(silence)
        while True:
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                yield line
            try:
                data = self._channel.recv(65536)
            except TimeoutError:
                reason = f"no word from the host for {silence:.0f} s"
                raise Unreachable(reason, "check the network, then run again") from None
            if not data:
                return
            self._traffic.received += len(data)
            self._buffer += data

    def _read_errors(self) -> None:
        """Drain standard error for as long as the session lasts; a time-out only means that nothing was said."""
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
        if times == 1 and self._remote.password is not None:
            try:
                self._channel.sendall(self._remote.password.reveal().encode() + b"\n")
            except OSError:
                pass  # the reading side tells what became of the connection
            return
        self._refusal = "wrong" if self._remote.password is not None else "asked"
        self._channel.close()

    @property
    def errors(self) -> str:
        """The last lines of standard error, without our own prompt."""
        return "\n".join(self._errors.replace(self._prompt, "").strip().splitlines()[-TAIL_LINES:])

    def _boot_failure(self) -> HostFailed:
        """Say why the agent did not start."""
        self._drain.join(5)
        errors, python = self.errors, self._remote.python
        if self._refusal == "wrong":
            return BecomeRefused("sudo does not accept the password", "give the right one (ENCAMP_BECOME_PASSWORD)")
        if self._refusal == "asked" or "password is required" in errors:
            return BecomeRefused(
                "sudo asks for a password, or this user has no right to it",
                "give a password (ENCAMP_BECOME_PASSWORD, or fab --prompt-for-sudo-password), "
                "or allow the user `NOPASSWD: ALL` in /etc/sudoers.d",
            )
        if "sudoers" in errors or "not allowed to" in errors:
            return BecomeRefused(f"sudo refuses: {errors}", "give this user the right to sudo on the host")
        if re.search(r"sudo: (command )?not found", errors):
            return BecomeRefused("there is no sudo on the host", "install it, or log in as root")
        if any(python in line and MISSING.search(line) for line in errors.splitlines()):
            return HostFailed(f"there is no {python} on the host", "install python3 there (apt-get install python3)")
        said = "\n".join(filter(None, [errors, *self._heard])) or "the session ended without a word"
        return HostFailed(f"the agent did not start: {said}", "see what `ssh HOST python3 --version` says")
