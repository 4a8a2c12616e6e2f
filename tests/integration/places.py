"""Where a client may be: a laptop over SSH, or this machine without SSH. Tests of clients ask both the same things."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from live import LiveLab

from tests.integration.looks import Fab

#: A flow that a user might write, named by its first argument.
FLOW = """\
import sys
from prefect import flow, task

@task
def double(number):
    return number * 2

@flow(name=sys.argv[1])
def doubled():
    return double(21)

assert doubled() == 42
"""
#: Counts the runs of a flow in a database file of Prefect: completed ones.
COUNT = """\
import sqlite3, sys
query = "SELECT count(*) FROM flow_run r JOIN flow f ON f.id = r.flow_id WHERE f.name = ? AND state_type = 'COMPLETED'"
print(sqlite3.connect(sys.argv[1]).execute(query, (sys.argv[2],)).fetchone()[0])
"""
PYTHON = ".local/share/encamp/prefect/bin/python"
PROFILES = ".prefect/profiles.toml"


class Place(Protocol):
    """A client. Paths are relative to its user's home."""

    name: str
    home: str

    def configure(self, *options: str, inventory: Path | None = None) -> Fab:
        """``fab configure-client`` for it."""
        ...

    def shell(self, command: str, text: str = "", check: bool = True) -> str:
        """What a command of its user prints, standard error too; started in its home."""
        ...


class Laptop:
    """A laptop of the lab, over SSH."""

    def __init__(self, lab: LiveLab, name: str) -> None:
        self.lab, self.name, self.home = lab, name, "/home/dev"

    def configure(self, *options: str, inventory: Path | None = None) -> Fab:
        return self.lab.fab("-H", self.name, "configure-client", *options, inventory=inventory)

    def shell(self, command: str, text: str = "", check: bool = True) -> str:
        done = self.lab.ssh(self.name, f"({command}) 2>&1", text=text, check=False)
        assert done.returncode == 0 or not check, f"exit status {done.returncode} of {command!r}:\n{done.stdout}"
        return done.stdout


class ThisMachine:
    """The machine that the tests run on, as an operator with a home of its own and nothing of Prefect's in it."""

    def __init__(self, lab: LiveLab, home: Path) -> None:
        self.lab, self.name, self.home = lab, "localhost", str(home)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment = {**kept, "HOME": self.home, "PWD": self.home}

    def configure(self, *options: str, inventory: Path | None = None) -> Fab:
        return fab_here(self.lab, {"HOME": self.home}, *options, inventory=inventory)

    def shell(self, command: str, text: str = "", check: bool = True) -> str:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.home,
            env=self.environment,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, f"exit status {done.returncode} of {command!r}:\n{done.stdout}"
        return done.stdout


def fab_here(lab: LiveLab, environment: Mapping[str, str], *options: str, inventory: Path | None = None) -> Fab:
    """``fab configure-client`` on this machine; run by root it waits for the lock that another test run may hold."""
    for _ in range(60):
        done = lab.fab("configure-client", *options, env=environment, inventory=inventory)
        if done.returncode != 5:
            break
        time.sleep(1)
    return done


def put(place: Place, path: str, text: str, mode: str = "0600") -> None:
    """Write a file as the user would."""
    place.shell(f"mkdir -p $(dirname {path}) && cat > {path} && chmod {mode} {path}", text)


def profiles(place: Place) -> tuple[str, str]:
    """The profiles file: its content and its mode; ("", "") where there is none."""
    if not place.shell(f"ls {PROFILES}", check=False).startswith(PROFILES):
        return "", ""
    return place.shell(f"cat {PROFILES}"), place.shell(f"stat -c %a {PROFILES}").strip()


def run_flow(place: Place, name: str, python: str = PYTHON) -> str:
    """Run a flow named ``name`` as the user would; what it printed. A temporary API may take its time to start."""
    put(place, "flow.py", FLOW)
    return place.shell(f"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=180 {python} flow.py {name}")


def runs_in_file(place: Place, name: str) -> int:
    """How many completed runs of a flow lie in the user's own database file."""
    found = place.shell(f"{PYTHON} - .prefect/prefect.db {name}", COUNT, check=False)
    return int(found) if found.strip().isdigit() else 0


def unique(word: str) -> str:
    """A flow's name that no other test has."""
    return f"{word}-{os.getpid()}-{time.time_ns()}"
