"""The arguments of every process that starts, as the kernel's audit tells them: also of those that live for a moment.

Nothing waits for the reader: what finds no room in the queue is lost. What containers start is told like everything
else. Formats: <linux/audit.h>, and audit_rule_data(5) for the rule. Needs root. Records of one execve share a serial
number; the last is ``EOE``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import socket
import struct
from collections.abc import Iterator

NETLINK_AUDIT = 9
GET, SET, ADD_RULE, DELETE_RULE, ERROR = 1000, 1001, 1011, 1012, 2
SYSCALL, EXECVE, END_OF_EVENT = 1300, 1309, 1320
REQUEST_AND_ACK = 0x01 | 0x04
HEADER = struct.Struct("=IHHII")
#: audit_status: mask, enabled, failure, pid, rate_limit, backlog_limit, lost, backlog, features, backlog_wait_time.
STATUS = struct.Struct("=10I")
WITH_ENABLED, WITH_PID, WITH_LIMIT, WITH_WAIT = 1, 4, 16, 32
PANIC = 2
BACKLOG = 65536
EXIT_LIST, ALWAYS = 4, 2
EXECVE_CALLS = {"x86_64": (59, 322), "aarch64": (221, 281)}  # execve and execveat
FILTER_KEY, EQUAL = 210, 0x40000000
#: Names the rule in what ``auditctl -l`` lists.
KEY = b"encamp-watch"
SO_RCVBUFFORCE, RECEIVED_AT_MOST = 33, 64 << 20
SERIAL = re.compile(rb"audit\([\d.]+:(\d+)\): ")
PID = re.compile(rb" pid=(\d+) ")
#: Quoted, or in hexadecimal digits where it holds a space, a quote or what is not printable; long ones in pieces.
ARGUMENT = re.compile(rb'\ba(\d+)(?:\[\d+\])?=(?:"([^"]*)"|([0-9A-F]*))')


@contextlib.contextmanager
def starts() -> Iterator[Iterator[tuple[int, bytes]]]:
    """What starts from now on: process id and argv of each, its words ended by NUL as in /proc/PID/cmdline.

    Raises OSError without the right, where the kernel has no audit, or where another program reads it: nothing is
    changed then. Afterwards the kernel's audit is as it was.
    """
    rule, mask = _rule(platform.machine()), WITH_ENABLED | WITH_LIMIT | WITH_WAIT
    with _netlink() as kernel, _netlink() as control:
        kernel.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVED_AT_MOST)
        _, enabled, failure, *_, limit, _, _, _, wait = STATUS.unpack_from(_tell(control, GET, until=GET))
        if failure == PANIC:
            raise OSError(errno.EPERM, "audit: this machine is set to stop when a record is lost")
        try:
            _tell(kernel, SET, STATUS.pack(WITH_PID, 0, 0, os.getpid(), *[0] * 6))
        except FileExistsError:
            raise OSError(errno.EEXIST, "audit: another program reads it") from None
        try:
            with contextlib.suppress(OSError):
                _tell(control, DELETE_RULE, rule)  # one that a killed watch left
            _tell(control, SET, STATUS.pack(mask, 1, 0, 0, 0, BACKLOG, 0, 0, 0, 0))  # no process waits for room
            _tell(control, ADD_RULE, rule)
            yield _starts(kernel)
        finally:
            with contextlib.suppress(OSError):
                _tell(control, DELETE_RULE, rule)
            _tell(control, SET, STATUS.pack(mask | WITH_PID, enabled, 0, 0, 0, limit, 0, 0, 0, wait))


def _netlink() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT)
    made.bind((0, 0))
    return made


def _starts(kernel: socket.socket) -> Iterator[tuple[int, bytes]]:
    pids: dict[bytes, int] = {}
    parts: dict[bytes, bytes] = {}
    while True:
        kind, text = _record(kernel)
        found = SERIAL.match(text)
        serial = found[1] if found else b""
        pid = PID.search(text) if kind == SYSCALL else None
        if pid:
            pids[serial] = int(pid[1])
        elif kind == EXECVE and found:
            parts[serial] = parts.get(serial, b"") + b" " + text[found.end() :]
        elif kind == END_OF_EVENT and serial in parts:
            yield pids.pop(serial, 0), argv(parts.pop(serial))


def argv(text: bytes) -> bytes:
    """The words of EXECVE records, each ended by NUL."""
    words: dict[int, bytes] = {}
    for number, plain, digits in ARGUMENT.findall(text):
        words[int(number)] = words.get(int(number), b"") + (plain or bytes.fromhex(digits.decode()))
    return b"".join(word + b"\0" for _, word in sorted(words.items()))


def _record(kernel: socket.socket) -> tuple[int, bytes]:
    data = kernel.recv(65536)
    return HEADER.unpack_from(data)[1], data[HEADER.size :]


def _tell(kernel: socket.socket, kind: int, data: bytes = b"", until: int = ERROR) -> bytes:
    """The kernel's answer of a kind; without, that it is done. Raises OSError when it refuses."""
    kernel.send(HEADER.pack(HEADER.size + len(data), kind, REQUEST_AND_ACK, 1, 0) + data)
    while True:
        answer, text = _record(kernel)
        number = -struct.unpack_from("=i", text)[0] if answer == ERROR else 0
        if number:
            raise OSError(number, f"audit: {os.strerror(number)}")
        if answer == until:
            return text


def _rule(machine: str) -> bytes:
    """Always tell of a call that starts a program. Raises OSError for a machine whose numbers are not known here."""
    if machine not in EXECVE_CALLS:
        raise OSError(errno.ENOSYS, f"audit: the calls of {machine} are not known here")
    calls, zeros = [0] * 64, [0] * 63
    for number in EXECVE_CALLS[machine]:
        calls[number // 32] |= 1 << number % 32
    head = struct.pack("=III64I", EXIT_LIST, ALWAYS, 1, *calls)
    fields = struct.pack("=192I", FILTER_KEY, *zeros, len(KEY), *zeros, EQUAL, *zeros)
    return head + fields + struct.pack("=I", len(KEY)) + KEY
