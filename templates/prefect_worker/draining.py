"""Runs ``prefect worker start ...`` or ``prefect agent start ...``, and lets SIGTERM wait for the flow runs.

Prefect's own worker kills the processes of its flow runs at once when it gets SIGTERM, and the server then shows them
as Running for ever. Started through this file it takes no new run from then on, and ends when the last one is over.
What is left when systemd's time-out strikes is killed.

Runs in Prefect's environment: standard library only, Python 3.9. It leans on two names of Prefect that every release
from 2.0 to 3.8 has, ``get_and_submit_flow_runs`` and ``setup_signal_handlers_*``; without them the worker works and is
not drained, and its log says so.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import threading
import time

#: Where the classes live that ask for work, by the CLI's first word.
POLLERS = {
    "worker": (("prefect.workers.base", "BaseWorker"),),
    "agent": (("prefect.agent", "PrefectAgent"), ("prefect.agent", "OrionAgent")),
}
HANDLERS = ("setup_signal_handlers_worker", "setup_signal_handlers_agent")
SUBMITTING = ("_submitting_flow_run_ids", "submitting_flow_run_ids")
#: Seconds that the worker gets to report the end of a run, and then to say good-bye.
LAST_REPORT, GOODBYE = 2.0, 15
#: Seconds more until the kernel ends a process that hangs with the interpreter's lock held, so that no thread can end
#: it: Python 3.9.2 does when a worker of Prefect 3.4.25 says good-bye.
HANGING = 2


class Drain:
    """Whether the process is to end, and what it still has to do."""

    def __init__(self):
        self.asked = False
        self.polling = 0
        self.pollers = set()

    def wrap(self, poll):
        """The worker's method that asks for work: it asks no more once the process is to end."""

        @functools.wraps(poll)
        async def get_and_submit_flow_runs(poller, *args, **kwargs):
            if self.asked:
                return []
            self.pollers.add(poller)
            self.polling += 1
            try:
                return await poll(poller, *args, **kwargs)
            finally:
                self.polling -= 1

        return get_and_submit_flow_runs

    def busy(self):
        """Whether a run is being taken, or a process of one is alive."""
        submitting = (getattr(poller, name, None) for poller in self.pollers for name in SUBMITTING)
        return bool(self.polling or any(submitting) or children())

    def begin(self, signum, frame):
        """SIGTERM: no new runs from now on."""
        if not self.asked:
            self.asked = True
            say(f"draining: no new flow runs; waiting for {len(children())} processes of flow runs")
            threading.Thread(target=self.finish, daemon=True).start()

    def finish(self):
        """Wait for the runs, then end as Ctrl-C would."""
        idle = 0.0
        while idle < LAST_REPORT:
            time.sleep(0.25)
            idle = 0.0 if self.busy() else idle + 0.25
        say("drained")
        signal.alarm(GOODBYE + HANGING)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(GOODBYE)
        os._exit(0)


def children():
    """Process ids of our children that live."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                found += file.read().split()
        except OSError:  # the thread ended meanwhile, or a kernel without CONFIG_PROC_CHILDREN
            continue
    return [pid for pid in found if state_of(pid) not in ("", "Z")]


def state_of(pid):
    """The state letter of a process; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def say(text):
    """A line for the unit's journal."""
    print(f"encamp: {text}", file=sys.stderr, flush=True)


def install(kind, drain):
    """Put the drain into Prefect, before its command line is loaded."""
    wrapped = 0
    for module, name in POLLERS.get(kind, ()):
        cls = getattr(importlib.import_module(module), name, None)
        poll = getattr(cls, "get_and_submit_flow_runs", None)
        if poll is not None and not hasattr(poll, "__wrapped__"):
            cls.get_and_submit_flow_runs = drain.wrap(poll)
            wrapped += 1
    if not wrapped:
        say(f"this release of Prefect has no {kind} that can be drained: flow runs are killed when it is stopped")
        return
    signal.signal(signal.SIGTERM, drain.begin)
    utilities = importlib.import_module("prefect.utilities.processutils")
    for name in HANDLERS:
        if hasattr(utilities, name):
            setattr(utilities, name, lambda *args, **kwargs: None)


def main():
    """The ``prefect`` command of this environment, drained."""
    from importlib.metadata import distribution

    install(sys.argv[1] if len(sys.argv) > 1 else "", Drain())
    command = next(entry for entry in distribution("prefect").entry_points if entry.name == "prefect")
    sys.argv[0] = "prefect"
    sys.exit(command.load()())


if __name__ == "__main__":
    main()
