"""The program that starts an adopted server again, and the timer that runs it where nobody else does."""

from __future__ import annotations

import sys
from typing import Sequence

from encamp.resources.system import Reader, System
from roles.adopt.kinds.adoption import Places
from roles.adopt.kinds.way_back_script import SCRIPT

_SYSTEM = "/etc/systemd/system"
_MARK = "# Managed by encamp while it continues a server; removed when that has succeeded.\n"
#: Seconds between tries of a return that fails.
_AGAIN = 60


def write_program(host: System, instance: str) -> None:
    """Write the program that leads back, in the folder of the instance's adoption."""
    host.write(Places(instance).program, SCRIPT, "root", "root", 0o700)


def command(instance: str, *options: str) -> Sequence[str]:
    """The command line of that program."""
    return [sys.executable or "/usr/bin/python3", "-I", Places(instance).program, *options]


def arm(host: System, instance: str, server: str, minutes: int) -> None:
    """Start a timer that survives a reboot: in ``minutes`` it starts ``server`` again, unless the adoption is done."""
    unit, start = Places(instance).unit, " ".join(command(instance, "--unless-done"))
    # Not a oneshot: older releases of systemd do not start one again when it fails.
    again = f"Restart=on-failure\nRestartSec={_AGAIN}\n"
    service = f"[Unit]\nDescription=Starts {server} again\n[Service]\nExecStart={start}\n{again}"
    timer = f"[Timer]\nOnActiveSec={minutes}min\nAccuracySec=5s\n[Install]\nWantedBy=timers.target\n"
    host.write(f"{_SYSTEM}/{unit}.service", _MARK + service)
    host.write(f"{_SYSTEM}/{unit}.timer", _MARK + timer)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--quiet", f"{unit}.timer"])
    host.run(["systemctl", "restart", f"{unit}.timer"])


def is_armed(host: Reader, instance: str) -> bool:
    """Whether the timer, or a part of it, is there."""
    unit = Places(instance).unit
    return any(host.stat(f"{_SYSTEM}/{unit}.{end}") is not None for end in ("timer", "service"))


def disarm(host: System, instance: str) -> None:
    """Remove the timer; what it runs at this moment goes on."""
    unit = Places(instance).unit
    host.query(["systemctl", "disable", "--now", "--quiet", f"{unit}.timer"])
    for end in ("timer", "service"):
        host.remove(f"{_SYSTEM}/{unit}.{end}")
    host.run(["systemctl", "daemon-reload"])
