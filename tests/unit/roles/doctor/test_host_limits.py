"""What a worker's journal says of its limits: lines as real programs print them, and what the doctor makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from roles.doctor.kinds.host_limits import Unit, met
from tests.unit.resources.case_host import CaseHost

CLOSED = (
    "ProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\nPrivateDevices=yes\nReadWritePaths=/var/lib/prefect/w\n"
)
OPEN = CLOSED.replace("PrivateDevices=yes", "PrivateDevices=no") + "BindReadOnlyPaths=/home/etl\nReadWritePaths=/data\n"
HOST: dict[str, Any] = {
    "files": {"/data/old": "", "/home/etl/flow.py": "", "/tmp/input": "", "/dev/nvidia0": "", "/srv/app/x": ""},
    "answers": {"findmnt * /data": "rw,relatime", "findmnt * /mnt": "ro,relatime", "findmnt *": "rw"},
}


def found(line: str, text: str = CLOSED) -> tuple[str, str, str] | None:
    host: Any = CaseHost({**HOST, "directories": {"/mnt": {}}})
    finding = met(host, Unit("w.service", text, "prefect-worker"), f"before\n{line}\nafter")
    return (finding.text, finding.cause, finding.fix) if finding else None


@pytest.mark.parametrize(
    ("line", "cause", "fix"),
    [
        ("OSError: [Errno 30] Read-only file system: '/data/out/x'", "ProtectSystem", "writable_paths: [/data]"),
        ("touch: cannot touch '/data/x': Read-only file system", "ProtectSystem", "writable_paths: [/data]"),
        ("touch: cannot touch ‘/data/x’: Read-only file system", "ProtectSystem", "writable_paths: [/data]"),
        ("sh: 1: cannot create /data/x: Read-only file system", "ProtectSystem", "writable_paths: [/data]"),
        ("OSError: [Errno 30] Read-only file system: '/mnt/x'", "this host itself", "mount it for writing"),
        ("error: [Errno 30] Read-only file system: '/opt/prefect/envs/a/x'", "read-only", "pip: true"),
        ("PermissionError: [Errno 13] Permission denied: '/home/etl/flow.py'", "hides homes", "[/home/etl]"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/tmp/input'", "/tmp of its own", "[/tmp]"),
        ("PermissionError: [Errno 13] Permission denied: '/srv/app/x'", "permissions of /srv/app", "setfacl"),
        ("No such file or directory: '/dev/nvidia0'", "PrivateDevices", "devices: [/dev/nvidia0]"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'git'", "not installed", "system_packages: [git]"),
        ("/opt/prefect/envs/x/bin/python: No module named pip", "locked", "pip: true"),
        ("Host key verification failed.", "known_hosts", "ssh-keyscan"),
        ("git@example.com: Permission denied (publickey).", "deploy_key", "deploy_key:"),
        ('sudo: The "no new privileges" flag is set, which prevents sudo', "NoNewPrivileges", "sandbox: false"),
        ("permission denied while trying to connect to unix:///var/run/docker.sock", "group", "groups: [docker]"),
    ],
)
def test_a_limit_is_named_with_the_setting_that_opens_it(line: str, cause: str, fix: str) -> None:
    seen = found(line)
    assert seen and cause in seen[1] and fix in seen[2], seen


@pytest.mark.parametrize(
    "line",
    [
        "FileNotFoundError: [Errno 2] No such file or directory: '/home/etl/missing'",
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/missing'",
        "Finished in state Completed()",
    ],
)
def test_what_the_host_lacks_itself_is_no_limit(line: str) -> None:
    assert found(line) is None


def test_what_is_opened_is_not_blamed_on_the_unit() -> None:
    read_only = found("OSError: [Errno 30] Read-only file system: '/data/x'", OPEN)
    assert read_only and read_only[2] == "systemctl restart w.service"
    denied = found("PermissionError: [Errno 13] Permission denied: '/home/etl/flow.py'", OPEN)
    assert denied and "permissions of /home/etl" in denied[1]
    assert found("No such file or directory: '/dev/nvidia0'", OPEN) is None
