"""Sees every process that starts and every file that is written, on this machine and in the lab's containers.

    watch.py ROOT ...      roots as this machine sees them: / and /proc/PID/root of a container

Containers are processes of this kernel, so one look from outside is enough, and nothing waits for it: what it is told
are notices, never questions. Arguments are those that the kernel's audit tells of each start (execs.py); at each such
notice the process is looked at in /proc, and all of them every LOOK seconds. An environment is not seen of a process
that ends within the moment until then. A file is read when whoever wrote it closes it, even if it is gone by then; one
that grew above LARGEST is not, nor one that was readable only until its mode was changed. Files of this machine itself
are those of processes that have ENCAMP_WATCHED in their environment.

Without audit (no root, a kernel without it, another reader), it looks at young processes SAMPLES times a second
instead. Without fanotify, files are not seen.

Prints a JSON object first: what it cannot see, and why; {} for nothing. Then one for each new thing seen:
{"argv": ...}, {"environ": ..., "argv": ..., "uid": ...} or {"path": ..., "mode": ..., "uid": ..., "data": ...}, bytes
as base64. Ends with its standard input.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import queue
import signal
import stat
import struct
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import execs

# From <linux/fanotify.h>.
UNLIMITED_QUEUE = 0x10
MARK_ADD, MARK_FILESYSTEM = 0x01, 0x100
CLOSE_WRITE = 0x00000008
AT_FDCWD = -100
EVENT = struct.Struct("=IBBHQii")
LARGEST = 128 * 1024
#: Programs of packages: nothing of the site's is written there, and there are ten thousand files.
TOO_MANY = (b"/site-packages/", b"/encamp/uv/", b"/.cache/", b"/apt/", b"/dpkg/", b"/usr/", b"/proc/", b"/sys/")
FOLDERS = ("", "tmp", "run")
#: Seconds between two looks at all processes; without audit, looks a second at those younger than YOUNG seconds.
LOOK, SAMPLES, YOUNG = 2.0, 20, 1.0
HERE = os.stat("/").st_dev
libc = ctypes.CDLL(None, use_errno=True)
libc.fanotify_mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]
seen: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()


def group(flags: int) -> int:
    """A new fanotify group. Raises OSError without the right (root, outside of any user namespace)."""
    made: int = libc.fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC | os.O_LARGEFILE)
    if made < 0:
        raise OSError(ctypes.get_errno(), f"fanotify_init: {os.strerror(ctypes.get_errno())}")
    return made


def mark(where: int, how: int, what: int, path: str) -> None:
    if libc.fanotify_mark(where, MARK_ADD | how, what, AT_FDCWD, path.encode()) < 0:
        raise OSError(ctypes.get_errno(), f"fanotify_mark: {os.strerror(ctypes.get_errno())}", path)


def process(pid: int) -> dict[str, Any] | None:
    """What others may see of a process; None where it has ended, and for threads of the kernel."""
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        found = {"uid": os.stat(f"/proc/{pid}").st_uid, "argv": Path(f"/proc/{pid}/cmdline").read_bytes()}
        found["environ"] = Path(f"/proc/{pid}/environ").read_bytes()
    return found if found.get("argv") else None


def follow(where: int) -> None:
    """Read each file that was written."""
    while True:
        for *_, handle, pid in events(where):
            try:
                if os.fstat(handle).st_dev == HERE and not is_watched(pid):
                    continue
                found = written(handle)
                if found:
                    seen.put(found)
            except OSError:
                pass
            finally:
                os.close(handle)


def is_watched(pid: int) -> bool:
    try:
        return b"\0ENCAMP_WATCHED=" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return True  # it has ended already


def written(handle: int) -> dict[str, Any] | None:
    path = os.readlink(f"/proc/self/fd/{handle}".encode())
    state = os.fstat(handle)
    if any(part in path for part in TOO_MANY) or not stat.S_ISREG(state.st_mode) or state.st_size > LARGEST:
        return None
    return {"path": path, "mode": state.st_mode & 0o7777, "uid": state.st_uid, "data": os.pread(handle, LARGEST, 0)}


def events(where: int) -> list[tuple[int, ...]]:
    data = os.read(where, 64 * EVENT.size)  # each has a file open
    found, at = [], 0
    while at < len(data):
        found.append(EVENT.unpack_from(data, at))
        at += found[-1][0]
    return found


def look(pids: Iterable[int]) -> None:
    for pid in pids:
        found = process(pid)
        if found:
            seen.put(found)


def look_around(pause: float) -> None:
    """Those that are new since a second, as each begins as a copy of its parent; all of them now and then."""
    since: dict[int, float] = {}
    last = -LOOK
    while True:
        now = time.monotonic()
        since = {pid: since.get(pid, now) for pid in (int(name) for name in os.listdir("/proc") if name.isdigit())}
        everyone = now - last >= LOOK
        last = now if everyone else last
        look(pid for pid, first in since.items() if everyone or now - first < YOUNG)
        time.sleep(pause)


def tell() -> None:
    """Print what was seen, each once."""
    known: set[int] = set()
    while True:
        found = seen.get()
        argv = {name: value for name, value in found.items() if name != "environ"}
        parts = [(argv, hash(tuple(argv.values())))]
        if "environ" in found:
            parts.append((found, hash((found["environ"], found["uid"]))))
        for part, key in parts:
            if key not in known:
                known.add(key)
                texts = {name: base64.b64encode(one).decode() for name, one in part.items() if isinstance(one, bytes)}
                sys.stdout.write(json.dumps({**part, **texts}) + "\n")
                sys.stdout.flush()


def watch_files(roots: list[str]) -> None:
    """Raises OSError without the right."""
    writes = group(UNLIMITED_QUEUE)
    for root in roots:
        for folder in FOLDERS:
            mark(writes, MARK_FILESYSTEM, CLOSE_WRITE, f"{root}/{folder}")
    threading.Thread(target=follow, args=(writes,), daemon=True).start()


def listen(started: Iterable[tuple[int, bytes]]) -> None:
    for pid, argv in started:
        seen.put({"argv": argv})
        look([pid])


@contextlib.contextmanager
def watching(roots: list[str]) -> Iterator[dict[str, str]]:
    """Watch in threads; what of it is not possible on this machine, and why."""
    lacks: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(execs.starts())
            threading.Thread(target=listen, args=(started,), daemon=True).start()
        except OSError as error:
            lacks["starts"] = str(error)
        try:
            watch_files(roots)
        except OSError as error:
            lacks["files"] = str(error)
        if os.geteuid() != 0:
            lacks["environments"] = "not root"
        pause = 1 / SAMPLES if "starts" in lacks else LOOK
        threading.Thread(target=look_around, args=(pause,), daemon=True).start()
        yield lacks


def main(roots: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the kernel's audit is put back
    with watching(roots) as lacks:
        print(json.dumps(lacks), flush=True)
        threading.Thread(target=tell, daemon=True).start()
        sys.stdin.read()
        time.sleep(1)  # what was seen last is told, too
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main([root.rstrip("/") for root in sys.argv[1:]])
