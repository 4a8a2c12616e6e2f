"""Deploys that are cut off at a chosen point, and what a host looks like afterwards."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import CHECKOUT
from live import LiveLab

from tests.integration.looks import Fab

UNIT = "prefect-server.service"
ENV_FILE = "/etc/prefect/default/server.env"
FOLDER = "/opt/faulty"
PROGRAM = CHECKOUT / "tests" / "lab" / "faulty_python.py"
MARK = "PREFECT_SWEEP_ROUND"
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

    def arguments(self, mark: str, *more: str) -> list[str]:
        """Of a deploy in which the server's environment names the round ``mark``."""
        setting = f"server_environment={{{MARK}: {mark}}}"
        return ["-H", self.name, "deploy", "--wait", "300", "--no-verify", "--set", setting, *more]

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
        self.sh(f"echo {shlex.quote(json.dumps(fault))} > {FOLDER}/fault.json")
        return ["--set", f"ansible_python_interpreter={FOLDER}/python3", "--json", str(self.events_file)]

    def killed(self, mark: str, **fault: Any) -> Fab:
        """A deploy whose agent is killed at the point that ``fault`` names."""
        return self.deploy(mark, *self.arm(do="kill", **fault))

    def look(self) -> Look:
        """See :class:`Look`."""
        parts = [part.strip().splitlines() for part in (self.sh(LOOK) + "\n").split("==\n")]
        return Look(round_in(parts[0]), parts[1], "\n".join(parts[2]), parts[3])
