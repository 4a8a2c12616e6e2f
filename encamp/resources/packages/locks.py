"""Who holds the locks of apt, dpkg, debconf and dnf, and whether cloud-init still sets the host up."""

from __future__ import annotations

import json
import re

from encamp.resources.system import Reader, System

#: The words of apt, dpkg, debconf and dnf for a lock that another process holds.
LOCKED = re.compile(
    r"Could not get lock|Unable to acquire the dpkg|Unable to lock|(?:was|is) locked by another process"
    r"|already locked by \d"
)
_HOLDER = re.compile(r"held by process (\d+)|with pid (\d+)|already locked by (\d+)")
_FILE = re.compile(r"(/var/\S+?(?:lock\S*|\.dat))(?=[\s.:)]|$)")
#: Where one of them keeps its lock, for a message that names neither file nor process.
FILES = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
    "/var/cache/debconf/config.dat",
)
CLOUD_INIT = "/run/cloud-init"


def is_locked(output: str) -> bool:
    """Whether a package command says that another process holds a lock."""
    return LOCKED.search(output) is not None


def holder(host: Reader, output: str) -> str:
    """The process that holds a lock, with program and unit; empty if it is not found (any more)."""
    named = _HOLDER.search(output)
    pid = next(filter(None, named.groups())) if named else _by_file(host, output)
    if not pid:
        return ""
    words = (host.read(f"/proc/{pid}/cmdline") or b"").decode("utf-8", "replace").replace("\0", " ").split()
    groups = (host.read(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "replace")
    unit = next((part for part in reversed(groups.strip().split("/")) if part.endswith((".service", ".scope"))), "")
    program = " ".join(words[:3]) or (host.read(f"/proc/{pid}/comm") or b"").decode("utf-8", "replace").strip()
    return ", ".join(filter(None, [f"process {pid}", program, unit]))


def _by_file(host: Reader, output: str) -> str:
    """The process that the kernel lists for a lock's file; empty where there is none."""
    named = _FILE.search(output)
    paths = [named[1]] if named else list(FILES)
    inodes = host.query(["stat", "--format=%i", *paths]).out.split()
    table = (host.read("/proc/locks") or b"").decode("ascii", "replace")
    for line in table.splitlines():
        fields = line.split()
        # number: type mode access pid major:minor:inode start end; a waiting one has an arrow after the number
        if len(fields) >= 8 and fields[1] != "->" and fields[5].rpartition(":")[2] in inodes:
            return fields[4]
    return ""


def await_cloud_init(host: System, seconds: float) -> None:
    """Wait until cloud-init has finished: until then it writes sources, installs packages and takes locks.

    It runs until it has written its result, as for ``cloud-init status --wait``; one that has died has no job of
    systemd's any more. One that takes longer is left.
    """
    if not _is_setting_up(host):
        return
    host.progress(f"waiting for cloud-init{_stage(host)} to finish; at most {seconds:.0f} s")
    if not host.wait_for(lambda: not _is_setting_up(host), seconds, every=1.0):
        host.note(f"cloud-init{_stage(host)} has not finished within {seconds:.0f} s (`cloud-init status --long`)")


def _is_setting_up(host: Reader) -> bool:
    if host.stat(f"{CLOUD_INIT}/status.json") is None or host.stat(f"{CLOUD_INIT}/result.json") is not None:
        return False
    return "cloud-" in host.query(["systemctl", "list-jobs", "--no-legend", "--no-pager"]).out


def _stage(host: Reader) -> str:
    """The stage that cloud-init is at, to be put behind its name; empty if it does not say."""
    try:
        stage = json.loads(host.read(f"{CLOUD_INIT}/status.json") or b"")["v1"]["stage"]
    except (ValueError, LookupError, TypeError):
        return ""
    return f" ({stage})" if stage else ""
