"""Sessions through the system's ``ssh``: the same face, the same faults and tries as connections of paramiko's.

Each session is one process with a log-in of its own, unless OpenSSH's configuration names a live ControlMaster.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from pathlib import Path

from encamp.errors import Unreachable
from encamp.ssh import attempts, keys, known_hosts
from encamp.ssh.attempts import Failed
from encamp.ssh.host_keys import HostKeys
from encamp.ssh.openssh import failures, places
from encamp.ssh.openssh.arguments import command_line
from encamp.ssh.openssh.questions import Questions
from encamp.ssh.target import TYPING_SECONDS, Address
from encamp.support.child import ChildChannel

#: What ssh exits with when the connection, and not the command, failed; or when a signal ended the command.
_FAILED = 255
_COMMAND_ENDED = re.compile(r"rtype exit-(status|signal)")
_KILLED = re.compile(r"rtype exit-signal")
#: A log-in through a ControlMaster shows in ssh's log alone.
_BY_MASTER = "master session id"
_LOOK_SECONDS = 0.02


class SshChannel(ChildChannel):
    """One command on the host. ``log`` is what ssh itself says of the connection."""

    ENDING_SECONDS = 3.0

    def __init__(self, argv: list[str], env: dict[str, str], log: Path) -> None:
        super().__init__(argv, env, own_session=True)
        self._log = log
        self._early = b""

    @property
    def log(self) -> str:
        return _text(self._log)

    @property
    def eof_received(self) -> bool:
        """Whether the command ended, and not the connection to it."""
        return self._child.wait() != _FAILED or bool(_COMMAND_ENDED.search(self.log))

    def recv_exit_status(self) -> int:
        """Below 0: a signal ended the command."""
        status = self._child.wait()
        return -1 if status == _FAILED and _KILLED.search(self.log) else status

    def recv_stderr(self, size: int) -> bytes:
        if self._early:
            early, self._early = self._early, b""
            return early
        return super().recv_stderr(size)

    def await_login(self, mark: bytes, seconds: float) -> None:
        """Read standard error until ``mark``, which ssh writes after the log-in and before the command starts.

        What came until then, such as the server's banner, is dropped.
        Raises EOFError with that text where ssh ends, else TimeoutError.
        """
        end, said = time.monotonic() + seconds, b""
        self.settimeout(_LOOK_SECONDS)
        while mark not in said:
            if _BY_MASTER in self.log:
                self._early = said
                return
            if time.monotonic() > end:
                raise TimeoutError
            with contextlib.suppress(TimeoutError):
                data = super().recv_stderr(65536)
                if not data:
                    raise EOFError(said.decode("utf-8", "replace"))
                said += data
        self._early = said.partition(mark)[2]


class OpenSshLink:
    """The way to a host. Nothing is opened before the first command. ``note``: what to say of it."""

    def __init__(self, address: Address, note: str = "") -> None:
        self.note = note
        self._address = address
        self._folder = places.folder()
        self._questions = Questions(address, self._folder)
        self._channels: list[SshChannel] = []

    def execute(self, command: str) -> SshChannel:
        """Start a command. Raises Unreachable, HostKeyRejected."""
        for path in self._address.policy.keys:
            if not os.path.exists(path) and not os.path.exists(f"{path}.pub"):
                raise keys.unusable(path, FileNotFoundError(2, "No such file or directory"))
        self._make_room_for_new_keys()
        channel = attempts.until_open(self._address, lambda: self._start(command))
        self._channels.append(channel)
        return channel

    def _make_room_for_new_keys(self) -> None:
        policy = self._address.policy
        for hop in self._address.route if policy.accept_new else ():
            files = [*([policy.known_hosts] if policy.known_hosts else []), *hop.known_hosts]
            if files and not HostKeys(hop, files).keys:
                known_hosts.end_last_line(files[0])

    def _start(self, command: str) -> SshChannel:
        """Raises Failed; EncampError for what no try would change."""
        policy, mark = self._address.policy, f"encamp {secrets.token_hex(8)}\n"
        logs = [self._folder / f"log{number}" for number in range(len(self._address.route))]
        for log in logs:
            log.unlink(missing_ok=True)
        self._questions.begin()
        argv = command_line(self._address, logs, mark.strip(), ask=self._questions.answers)
        try:
            channel = SshChannel([*argv, command], self._questions.environment(), logs[-1])
        except FileNotFoundError:
            raise Unreachable(
                "there is no ssh program here", "install the OpenSSH client, or set transport: paramiko"
            ) from None
        try:
            channel.await_login(mark.encode(), policy.timeout * 3 + (TYPING_SECONDS if policy.ask else 0))
        except (EOFError, TimeoutError) as error:
            channel.hang_up()
            said = str(error) if isinstance(error, EOFError) else ""
            hop, cause = failures.cause_of(
                self._address, [_text(log) for log in logs], said, self._questions.unanswered
            )
            raise Failed(hop, cause) from error
        except BaseException:
            channel.hang_up()
            raise
        return channel

    def close(self) -> None:
        for channel in self._channels:
            channel.hang_up()
        self._questions.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
