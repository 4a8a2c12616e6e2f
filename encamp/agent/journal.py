"""What must survive a crash: pending handlers, and the lock that names the current run.

The pending mark of a handler is written before the change that needs it, so neither a kill nor a lost connection can
lose a restart. The lock is a ``flock``: it is released when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import Any, Callable, Mapping, Optional, Sequence

from encamp.agent import files
from encamp.resources.base import Mark

ROOT_STATE = "/var/lib/encamp"


def state_directory(is_root: bool, home: str) -> str:
    """Where encamp keeps its own state on this machine."""
    return ROOT_STATE if is_root else os.path.join(home, ".local/state/encamp")


def lock_path(is_root: bool, home: str) -> str:
    """The lock file: in /run for root, so that a reboot removes it; else in the user's state."""
    return "/run/encamp.lock" if is_root else os.path.join(state_directory(False, home), "lock")


def mark_now() -> Mark:
    """This moment, as a mark that also names the current boot."""
    return Mark(_boot(), time.monotonic())


def _boot() -> str:
    return (files.read("/proc/sys/kernel/random/boot_id") or b"").decode().strip()


class Journal:
    """Handlers that were notified and have not run yet, by id, each with its wire form and its mark.

    A mark is open (its moment is None) until the change is made: a unit that starts meanwhile has read the old
    files. A killed run leaves it open; the change was then made before the current run began.
    """

    def __init__(self, directory: str, read_only: bool) -> None:
        self._path = os.path.join(directory, "pending.json")
        self._read_only = read_only
        self._began = time.monotonic()
        self._pending: dict[str, dict[str, Any]] = self._load()

    def _load(self) -> dict[str, dict[str, Any]]:
        try:
            loaded = json.loads(files.read(self._path) or b"{}")
        except ValueError:
            return {}
        if not loaded or not isinstance(loaded, dict):
            return {}
        from encamp.agent.old_names import renamed  # sent only to a host with pending handlers

        pending: dict[str, dict[str, Any]] = renamed(loaded)
        return pending

    def ids(self) -> list[str]:
        """Ids of pending handlers, oldest notification first."""
        return list(self._pending)

    def handler(self, handler_id: str) -> tuple[Any, Mark]:
        """Wire form and mark of a pending handler."""
        entry = self._pending[handler_id]
        boot, moment = entry["mark"]
        return entry["resource"], Mark(boot, self._began if moment is None else moment)

    def notify(self, handlers: Mapping[str, Any]) -> None:
        """Record on disk that handlers (wire form by id) are pending because of a change that is about to be made."""
        mark = [_boot(), None]
        self._pending.update({name: {"resource": resource, "mark": mark} for name, resource in handlers.items()})
        if handlers:
            self._save()

    def confirm(self, handler_ids: Sequence[str]) -> None:
        """Record that the change is made: a unit that starts from now on reads the new files."""
        mark = mark_now()
        for handler_id in handler_ids:
            self._pending[handler_id]["mark"] = [mark.boot, mark.monotonic]
        if handler_ids:
            self._save()

    def clear(self, handler_id: str) -> None:
        """Remove a handler that has run."""
        del self._pending[handler_id]
        self._save()

    def _save(self) -> None:
        if self._read_only:
            return
        directory = os.path.dirname(self._path)
        if not os.path.isdir(directory):
            files.make_directory(directory, "", "", 0o700)
        if self._pending:
            files.write_atomic(self._path, json.dumps(self._pending), "", "", 0o600, None)
        else:
            files.remove(self._path)
            files.remove(files.candidate_of(self._path))  # left by a run that was killed while writing


def describe_holder(holder: dict[str, Any]) -> str:
    """A run for people: ``command by user``."""
    return f"{holder.get('command', 'another run')} by {holder.get('who', 'someone')}"


class HostLock:
    """One run at a time on a host. Hold it with :meth:`take`; it is released by the end of the process.

    ``cut_off``: the holder's data of the last run, if it was killed while it held the lock.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle: Optional[int] = None
        self.cut_off: dict[str, Any] = {}

    def take(self, holder: dict[str, Any]) -> Optional[dict[str, Any]]:
        """Take the lock for ``holder``. Returns None, or the data of the run that holds it."""
        if not os.path.isdir(os.path.dirname(self._path)):
            files.make_directory(os.path.dirname(self._path), "", "", 0o700)
        with files.explained(self._path):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            current = self._read_holder(handle)
            os.close(handle)
            return current
        if not self._is_current(handle):  # its last holder removed it just now
            os.close(handle)
            return self.take(holder)
        self._handle = handle
        self.cut_off = self._read_holder(handle)
        ours = {**holder, "pid": os.getpid(), "session": os.getsid(0), "since": time.time()}
        with files.explained(self._path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(ours).encode(), 0)
        return None

    def wait(self, holder: dict[str, Any], seconds: float, say: Callable[[str], None]) -> Optional[dict[str, Any]]:
        """Take the lock, trying again for at most ``seconds``. Returns None, or the data of the run that still holds
        it.

        Where the last holder was killed, waits for the processes it left. Raises Failure when those do not end.
        """
        deadline = time.monotonic() + seconds
        current = self.take(holder)
        if current is not None and seconds:
            say(f"waiting for {describe_holder(current)} to finish")
        while current is not None and time.monotonic() < deadline:
            time.sleep(0.5)
            current = self.take(holder)
        if current is None and self.cut_off.get("session"):
            from encamp.agent.orphans import wait_until_gone

            wait_until_gone(self.cut_off["session"], say)
        return current

    def release(self) -> None:
        """Release the lock and remove its file. A killed process leaves the file, but no lock on it."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(self._handle)
            self._handle = None

    def _is_current(self, handle: int) -> bool:
        """Whether the locked file is still the one at the path."""
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self._path))
        except FileNotFoundError:
            return False

    @staticmethod
    def _read_holder(handle: int) -> dict[str, Any]:
        try:
            holder = json.loads(os.pread(handle, 65536, 0))
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}
