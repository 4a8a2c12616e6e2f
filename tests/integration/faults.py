"""Deploys that are cut off at a chosen point, and what a host looks like afterwards."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copies import start_copies
from deployed import POSTGRES
from layout import CHECKOUT
from live import LiveLab

from tests.integration.looks import Fab, psql, succeeded
from tests.spread import Spread

UNIT = "prefect-server.service"
ENV_FILE = "/etc/prefect/default/server.env"
FILE, RESTART = f"File:{ENV_FILE}", f"Restart:{UNIT}"
#: The steps of a deploy of another round that change something.
CHANGED = (FILE, RESTART)
FAILED, UNREACHABLE, INTERRUPTED = 2, 3, 130
FOLDER = "/opt/faulty"
PROGRAM = CHECKOUT / "tests" / "lab" / "faulty_python.py"
MARK = "PREFECT_SWEEP_ROUND"
PATIENCE = 300.0
#: Ways to cut a host off, seen from it, and how each is mended.
CUTS = {
    "both": (
        "ip route show default > /root/route && ip link set eth0 down",
        "ip link set eth0 up && ip route add $(cat /root/route)",
    ),
    "in": (
        "nft 'table netdev cut { chain in { type filter hook ingress device eth0 priority 0; policy drop; }; }'",
        "nft delete table netdev cut",
    ),
    "out": (
        "ip route show default | cut -d ' ' -f 3 > /root/peer && ip route add blackhole $(cat /root/peer)",
        "ip route del blackhole $(cat /root/peer)",
    ),
}
#: One look at everything that must hold whatever was cut off; the parts end with a line that no file has.
LOOK = f"""
pid=$(systemctl show -p MainPID --value {UNIT}); [ "$pid" = 0 ] || tr '\\0' '\\n' < /proc/$pid/environ; echo '=='
cat {ENV_FILE}; echo '=='
cat /var/lib/encamp/pending.json 2>/dev/null; echo '=='
find /etc /opt /var/lib /usr/local -name '*.encamp-new'; echo '=='
"""


@dataclass(frozen=True)
class Look:
    """A host at a moment: the running server's environment, its env file, what is pending, files left over."""

    running: str
    lines: list[str]
    pending: str
    strays: list[str]

    @property
    def written(self) -> str:
        """The round that the env file is of."""
        return round_in(self.lines)

    @property
    def others(self) -> list[str]:
        """The lines of the env file that are the same in every round."""
        return [line for line in self.lines if not line.startswith(f"{MARK}=")]


def round_in(lines: list[str]) -> str:
    """The round that an environment names."""
    return next((line.partition("=")[2] for line in lines if line.startswith(f"{MARK}=")), "")


@dataclass(frozen=True)
class Victim:
    """A host whose agent is run by an interpreter that harms it; ``folder`` takes what runs write."""

    lab: LiveLab
    name: str
    folder: Path

    def prepare(self) -> None:
        """Put the interpreter on the host."""
        self.sh(f"mkdir -p {FOLDER}")
        text = f"#!/usr/bin/python3 -IS\n{PROGRAM.read_text('utf-8')}"
        self.lab.ssh(self.name, f"sudo tee {FOLDER}/python3 > /dev/null && sudo chmod 755 {FOLDER}/python3", text=text)

    def sh(self, command: str) -> str:
        """The output of a shell command, by way of Docker; fails the test when it fails."""
        return str(self.lab.host(self.name).check_output("sh -c %s", command))

    @staticmethod
    def setting(mark: str) -> tuple[str, str]:
        """The server's environment names the round ``mark``."""
        return "--set", f"server_environment={{{MARK}: {mark}}}"

    def arguments(self, mark: str, *more: str) -> list[str]:
        """Of a deploy of the round ``mark``."""
        return ["-H", self.name, "deploy", "--wait", "300", "--no-verify", *self.setting(mark), *more]

    def deploy(self, mark: str, *more: str) -> Fab:
        """A deploy without a fault."""
        return self.lab.fab(*self.arguments(mark, *more))

    @property
    def events_file(self) -> Path:
        """Where the last deploy's events are."""
        return self.folder / "events.jsonl"

    def events(self) -> list[dict[str, Any]]:
        """The events of the last deploy that wrote any; a last line that was cut off is left out."""
        lines = self.events_file.read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def arm(self, **fault: Any) -> list[str]:
        """Choose the fault of the next deploy. Returns the options that it needs."""
        self.sh(f"rm -f {FOLDER}/held {FOLDER}/go; echo {shlex.quote(json.dumps(fault))} > {FOLDER}/fault.json")
        return ["--set", f"ansible_python_interpreter={FOLDER}/python3", "--json", str(self.events_file)]

    def killed(self, mark: str, **fault: Any) -> Fab:
        """A deploy whose agent is killed at the point that ``fault`` names."""
        return self.deploy(mark, *self.arm(do="kill", **fault))

    @contextlib.contextmanager
    def held(self, mark: str, event: str, step: str) -> Iterator[subprocess.Popen[str]]:
        """A deploy that stands still after ``event`` of ``step``. It goes on at the end of the context."""
        with self._running(self.arguments(mark, *self.arm(do="hold", event=event, step=step))) as controller:
            self._wait_for_hold(controller, event, step)
            yield controller
            self.release()
            controller.wait(PATIENCE)

    @contextlib.contextmanager
    def at_work(self, mark: str, program: str) -> Iterator[subprocess.Popen[str]]:
        """A deploy that has begun a program on the host, named by a pattern of pgrep's that is not for itself."""
        with self._running(self.arguments(mark)) as controller:
            self.sh(f"timeout {PATIENCE:.0f} sh -c 'until pgrep -f \"{program}\" > /dev/null; do sleep 0.05; done'")
            yield controller
            controller.wait(PATIENCE)

    @contextlib.contextmanager
    def _running(self, arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
        command = [str(Path(sys.executable).with_name("fab")), *arguments]
        environment = {**os.environ, "ENCAMP_INVENTORY": str(self.lab.inventory)}
        with (self.folder / "printed").open("w") as printed:
            controller = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
                stdout=printed,
                stderr=printed,
                text=True,
            )
        try:
            yield controller
        finally:
            controller.kill()
            controller.wait()

    def release(self) -> None:
        """Let a held deploy go on."""
        self.sh(f"touch {FOLDER}/go")

    def until_ended(self) -> None:
        """Wait until no agent is at work."""
        self._until_gone("[f]aulty/python3")

    def hang_up(self) -> None:
        """End the host's side of the connection, as sshd does when it has waited in vain for long enough."""
        self.sh("pkill -f '[s]shd:.*@notty'")

    def until_hung_up(self) -> None:
        """Wait until sshd has seen that its client is gone."""
        self._until_gone("[s]shd:.*@notty")

    def _until_gone(self, command: str) -> None:
        self.sh(f"timeout {PATIENCE:.0f} sh -c 'while pgrep -f {command} > /dev/null; do sleep 0.1; done'")

    def _wait_for_hold(self, controller: subprocess.Popen[str], event: str, step: str) -> None:
        """Until the agent stands still, and the controller has been told where."""
        deadline = time.monotonic() + PATIENCE
        while not self.lab.host(self.name).file(f"{FOLDER}/held").exists or not self._told(event, step):
            assert controller.poll() is None and time.monotonic() < deadline, self.printed()
            time.sleep(0.1)

    def _told(self, event: str, step: str) -> bool:
        return any((one["event"], one.get("step")) == (event, step) for one in self.events())

    def printed(self) -> str:
        """What the held deploy printed."""
        return (self.folder / "printed").read_text("utf-8")

    def look(self) -> Look:
        """See :class:`Look`."""
        parts = [part.strip().splitlines() for part in (self.sh(LOOK) + "\n").split("==\n")]
        return Look(round_in(parts[0]), parts[1], "\n".join(parts[2]), parts[3])

    @contextlib.contextmanager
    def full(self, directory: str) -> Iterator[None]:
        """A directory on a file system of its own with no room; room again at the end, on the old one."""
        self.sh(f"rm -rf /root/kept && cp -a {directory} /root/kept")
        self.sh(f"mount -t tmpfs -o size=256k none {directory} && cp -a /root/kept/. {directory}")
        self.sh(f"head -c 1M /dev/zero > {directory}/filler 2>/dev/null || true")
        try:
            yield
        finally:
            self.sh(f"rm -rf {directory}/filler /root/kept && cp -a {directory} /root/kept && umount {directory}")
            self.sh(f"find {directory} -mindepth 1 -delete && cp -a /root/kept/. {directory}")

    @contextlib.contextmanager
    def silent(self, way: str) -> Iterator[None]:
        """Nothing passes on the way of CUTS, and nobody is told: no connection is closed by it."""
        cut, mend = CUTS[way]
        self.sh(cut)
        try:
            yield
        finally:
            self.sh(mend)


@dataclass
class Sweep:
    """A server to cut off, and what is to be the same after each fault."""

    victim: Victim
    others: list[str]
    rounds: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def on_a_copy(cls, lab: LiveLab, host: str, folder: Path) -> Sweep:
        """That of a copy of a server with Postgres."""
        start_copies(lab, {host: POSTGRES})
        victim = Victim(lab, host, folder)
        victim.prepare()
        succeeded(victim.deploy("first"))
        return cls.of(victim)

    @classmethod
    def of(cls, victim: Victim) -> Sweep:
        """That of a server that has been deployed; its database gets a row that no fault may harm."""
        psql(victim.lab, victim.name, "INSERT INTO flow (name) VALUES ('kept')")
        return cls(victim, victim.look().others)

    def next_round(self) -> str:
        """A value that no round before had: what runs shows of which round its settings are."""
        return f"r{next(self.rounds)}"

    def begins(self) -> list[str]:
        """The steps of a deploy that changes a setting, in their order; the restart is one of them."""
        return [step for event, step in self.points() if event == "start"]

    def points(self) -> list[tuple[str, str]]:
        """The begin of each step of a deploy that changes a setting, and the end of those that change something."""
        succeeded(self.victim.deploy(self.next_round(), "--json", str(self.victim.events_file)))
        events = [event for event in self.victim.events() if event["event"] in ("start", "step")]
        assert {event["step"] for event in events if event.get("status") == "changed"} == set(CHANGED)
        return [
            (event["event"], event["step"])
            for event in events
            if event["event"] == "start" or event["status"] == "changed"
        ]

    def at_each_point(self, spread: Spread, count: int) -> Iterator[tuple[str, str, str]]:
        """Round, event and step of each fault: at about ``count`` points, and at all that change something.

        After each the host is checked, and after the last one deployed to.
        """
        points = self.points()
        for event, step in spread.over(points, count, always=[point for point in points if point[1] in CHANGED]):
            mark = self.next_round()
            yield mark, event, step
            self.whole()
        self.settled(mark)

    def whole(self) -> Look:
        """Whatever was cut off: the env file is that of one round, and what has not read it yet is due."""
        look = self.victim.look()
        assert look.others == self.others
        assert look.written == look.running or RESTART in look.pending, look
        assert not look.strays
        return look

    def settled(self, mark: str) -> None:
        """The next deploy converges, and everything is of round ``mark``; what the database held, it holds."""
        succeeded(self.victim.deploy(mark))
        look = self.victim.look()
        assert (look.running, look.written, look.others) == (mark, mark, self.others)
        assert not look.pending and not look.strays
        assert psql(self.victim.lab, self.victim.name, "SELECT count(*) FROM flow WHERE name = 'kept'") == "1"
