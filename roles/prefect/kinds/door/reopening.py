"""The timer that opens a door again at a time, after a reboot, too; and its service."""

from __future__ import annotations

import time

from encamp.resources.system import Reader, System
from encamp.resources.systemd.halted import STOPPED
from encamp.resources.systemd.owners import DIRECTORY
from encamp.resources.systemd.unit_state import unit_state

_TIMER = """# Managed by encamp while a maintenance lasts: `fab maintenance off` removes it.
[Unit]
Description=Ends the maintenance of {server}

[Timer]
OnCalendar={time}
AccuracySec=1s
# The host may be down at that time.
Persistent=yes

[Install]
WantedBy=timers.target
"""
#: Its last act removes it: systemd forgets both with its next reload.
_SERVICE = """# Managed by encamp while a maintenance lasts: `fab maintenance off` removes it.
[Unit]
Description=Ends the maintenance of {server}

[Service]
Type=oneshot
ExecStart=/bin/rm -f {notice}
# It may have been stopped on purpose meanwhile.
ExecStart=-/bin/sh -c 'test -e {stopped}/{server} || systemctl start {server}'
ExecStart=/bin/systemctl stop {door}
ExecStart=-/bin/systemctl disable {name}.timer
ExecStart=/bin/rm -f {directory}/{name}.timer {directory}/{name}.service
"""


def is_armed(host: Reader, name: str) -> bool:
    """Whether the timer ``name`` (without its suffix) waits, over a reboot, too."""
    state = unit_state(host, f"{name}.timer")
    return state.active and state.enabled


def arm(host: System, name: str, at: float, notice: str, server: str, door: str) -> None:
    """Let the timer open the door at a time (seconds since the epoch)."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    words = {"server": server, "door": door, "notice": notice, "name": name}
    words.update(directory=DIRECTORY, time=moment, stopped=STOPPED)
    host.write(f"{DIRECTORY}/{name}.service", _SERVICE.format(**words))
    host.write(f"{DIRECTORY}/{name}.timer", _TIMER.format(**words))
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--quiet", f"{name}.timer"])
    host.run(["systemctl", "restart", f"{name}.timer"])


def exists(host: Reader, name: str) -> bool:
    """Whether there is such a timer."""
    return host.stat(f"{DIRECTORY}/{name}.timer") is not None


def disarm(host: System, name: str) -> None:
    """Remove the timer and its service, where they are."""
    if not exists(host, name):
        return
    host.run(["systemctl", "disable", "--now", "--quiet", f"{name}.timer"])
    for suffix in ("timer", "service"):
        host.remove(f"{DIRECTORY}/{name}.{suffix}")
    host.run(["systemctl", "daemon-reload"])
