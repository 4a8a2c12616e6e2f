"""Stands where a host's python3 would: runs the real agent, and harms it at a chosen point.

Points are calls that change something (files, directories, links, child processes, what is brought to the disk) and
events to the controller; each is reached in every run of the same plan, in the same order. The harm is in
``fault.json`` beside this file:

    {"call": N, "do": "kill"}         SIGKILL before the Nth call that changes something
    {"call": N, "do": "full"}         from the Nth such call on, the disk takes nothing more
    {"event": "start", "step": ID, "do": "hold"}   after that event: ``held`` appears, and nothing goes on before ``go``
    {"event": "step", "step": ID, "do": "kill"}    in place of that event: the step is done, and nobody was told
    {"child": PATTERN, "program": NAME, "seconds": S, "do": "kill"}     S seconds after a command that matches was begun
                                      and, where NAME is not empty, some program of that name runs

``points`` beside this file then lists the calls. The standard library alone; the first line is set where it is put.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import sys
import threading
import time
from typing import Any, Callable

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
EVENT = re.compile(rb'\{"event": "(start|step)", "step": "([^"]*)"')
CHANGES = ("os.rename", "os.mkdir", "os.symlink", "os.truncate", "subprocess.Popen")
TAKES_SPACE = ("open", "os.rename", "os.mkdir", "os.symlink", "fsync", "pwrite")
CREATES = os.O_CREAT | os.O_WRONLY | os.O_RDWR


class Fault:
    """What is to happen, and how far the agent has come."""

    def __init__(self) -> None:
        with open(f"{HERE}/fault.json", encoding="utf-8") as plan:
            self._plan: dict[str, Any] = json.load(plan)
        self._log = os.open(f"{HERE}/points", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._write = os.write
        self._calls = 0

    def audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook of sys.addaudithook."""
        if name == "subprocess.Popen":
            self._child(" ".join(map(os.fsdecode, arguments[1])))
        what: Any = arguments[0] if arguments else None
        creates = name == "open" and isinstance(what, str) and isinstance(arguments[2], int) and arguments[2] & CREATES
        if name in CHANGES or creates or (name in ("os.remove", "os.rmdir") and os.path.lexists(what)):
            self.reached(name, what)

    def _child(self, command: str) -> None:
        if "child" in self._plan and re.search(self._plan["child"], command):
            threading.Thread(target=self._kill_during, daemon=True).start()

    def _kill_during(self) -> None:
        while self._plan["program"] and not any(map(self._runs, filter(str.isdigit, os.listdir("/proc")))):
            time.sleep(0.01)
        time.sleep(self._plan["seconds"])
        self._kill()

    def _runs(self, pid: str) -> bool:
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as name:
                return name.read().strip() == str(self._plan["program"])
        except OSError:
            return False

    def reached(self, name: str, what: Any) -> None:
        """A call that changes something is about to be made."""
        self._calls += 1
        with contextlib.suppress(OSError):  # its own log may be on the disk that a test has filled
            self._write(self._log, f"{self._calls} {name} {what}\n".encode())
        wanted = self._plan.get("call")
        if self._plan["do"] == "kill" and wanted == self._calls:
            self._kill()
        if self._plan["do"] == "full" and wanted and wanted <= self._calls and name in TAKES_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(what))

    def write(self, descriptor: int, data: bytes) -> int:
        """In place of os.write: every event of the agent passes here."""
        found = EVENT.match(data)
        here = found and found[1].decode() == self._plan.get("event") and found[2].decode() == self._plan.get("step")
        if here and self._plan["do"] == "kill":
            self._kill()
        count = self._write(descriptor, data)
        if here:
            self._hold()
        return count

    def before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call of the module os that no audit event tells of."""

        def wrapped(*arguments: Any) -> Any:
            self.reached(name, arguments[0])
            return call(*arguments)

        return wrapped

    def _hold(self) -> None:
        open(f"{HERE}/held", "w").close()
        while not os.path.exists(f"{HERE}/go"):
            time.sleep(0.02)

    @staticmethod
    def _kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def harm() -> None:
    """Lie in wait."""
    fault = Fault()
    os.fsync, os.pwrite = fault.before("fsync", os.fsync), fault.before("pwrite", os.pwrite)
    os.write = fault.write  # type: ignore[assignment]  # of the buffers only bytes are ever written
    sys.addaudithook(fault.audit)


if __name__ == "__main__":
    harm()
    program, *rest = sys.argv[sys.argv.index("-c") + 1 :]
    sys.argv = ["-c", *rest]
    exec(program, {"__name__": "__main__", "__builtins__": __builtins__})
