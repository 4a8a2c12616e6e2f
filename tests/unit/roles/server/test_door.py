"""The door: what is no maintenance's business, and a notice that keeps the server from starting."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from encamp.errors import SettingsError
from encamp.resources.base import Failure, Refused
from roles.prefect.kinds.door import reopening
from roles.prefect.kinds.door.doorway import Doorway
from roles.prefect.kinds.door.notice import Notice, keep, notice_of
from roles.server import door
from roles.server.kinds.door.absent import DoorAbsent
from roles.server.kinds.door.expectation import DoorOpen
from roles.server.kinds.instance_units import InstanceUnitsAbsent
from tests.unit.resources.case_host import CaseHost
from tests.unit.roles.test_stages import planned

NOTICE = "/var/lib/prefect/default.shut"
SOCKET, DOOR, MARK = "prefect-server.socket", "prefect-door.service", "# Managed by encamp\n"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("runtime: compose", "Docker hands no socket of systemd's on"),
        ("prefect_version: '2.20.26'", "its clients do not wait for a server"),
    ],
)
def test_servers_without_a_door_say_why(tmp_path: Path, settings: str, reason: str) -> None:
    site, _ = planned(tmp_path, {"vm1": f"ansible_host: 192.0.2.7, {settings}"})
    for wish in (lambda host: door.shut(host, "", 0), door.opened):
        with pytest.raises(SettingsError, match=reason) as refused:
            wish(site.host("vm1"))
        assert refused.value.fix.endswith("`fab -H vm1 stop --only server`")


def test_a_notice_is_read_back_as_it_was_written() -> None:
    host, notice = CaseHost({}), Notice(1796000000, 1796001800, 1800, 'a "message"')
    keep(host, NOTICE, notice)
    assert notice_of(host, NOTICE) == notice
    assert str(notice) == 'shut since 2026-11-30 00:53 UTC until 2026-11-30 01:23 UTC: a "message"'


def test_a_damaged_notice_counts_since_systemd_sees_the_file() -> None:
    host = CaseHost({"files": {NOTICE: {"text": "{", "mtime": 1796000000.0}}})
    with pytest.raises(Refused, match="is shut since 2026-11-30 00:53 UTC"):
        DoorOpen("prefect-server.service").check(host)
    assert DoorOpen("prefect-server-other.service").check(host) == []


def test_units_of_the_owners_with_these_names_are_kept() -> None:
    folder = "/etc/systemd/system"
    files = {f"{folder}/{SOCKET}": "[Socket]\nListenStream=1\n", f"{folder}/{DOOR}": MARK}
    host = CaseHost(
        {
            "files": files,
            "units": {DOOR: {}, SOCKET: {}},
            "answers": {"systemctl disable *": "", "systemctl stop -- *": "", "systemctl daemon-reload": ""},
        }
    )
    absent = DoorAbsent("prefect-server.service")
    assert [str(change) for change in absent.check(host)] == [f"{DOOR}: active -> absent"]


@pytest.mark.parametrize("was_shut", [False, True])
def test_a_door_that_does_not_start_leaves_an_open_server_open(was_shut: bool) -> None:
    files = {NOTICE: '{"since": 1, "until": 0, "seconds": 0, "message": ""}'} if was_shut else {}
    answers = {
        "systemctl restart -- prefect-door.service": {"code": 1, "err": "it has no Python"},
        "systemctl stop *": "",
        "journalctl *": "",
    }
    host = CaseHost({"files": files, "units": {DOOR: {}}, "answers": answers})
    with pytest.raises(Failure, match=r"prefect-door\.service did not restart"):
        Doorway("prefect-server.service").shut(host, Notice(2, 0, 0, "new"))
    assert (host.stat(NOTICE) is not None) is was_shut, "what was shut stays shut: its database may be worked on"
    assert not any("stop -- prefect-server.service" in line for line, _ in host.done)


@pytest.mark.parametrize("stopped", [False, True])
def test_the_end_of_a_maintenance_starts_no_server_that_was_stopped(tmp_path: Path, stopped: bool) -> None:
    """`fab stop` on a shut server, whose timer goes on."""
    host = CaseHost({})
    reopening.arm(host, "prefect-reopen", 1796001800, NOTICE, "prefect-server.service", DOOR)
    unit = (host.read("/etc/systemd/system/prefect-reopen.service") or b"").decode()
    (line,) = [line for line in unit.splitlines() if "systemctl start" in line]
    assert "/run/encamp/stopped/prefect-server.service" in line, "where halted.mark puts it"
    if stopped:
        (tmp_path / "prefect-server.service").touch()
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/done\n')
    (tmp_path / "systemctl").chmod(0o755)
    words = shlex.split(line.partition("=-")[2].replace("/run/encamp/stopped", str(tmp_path)))
    subprocess.run(words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
    assert (tmp_path / "done").exists() is not stopped


@pytest.mark.parametrize("opens", [False, True])
def test_a_server_that_is_shut_or_opened_is_no_longer_one_that_was_stopped(opens: bool) -> None:
    mark, way = "/run/encamp/stopped/prefect-server.service", Doorway("prefect-server.service")
    host = CaseHost({"files": {NOTICE: "{}", mark: "ada\n"}, "units": {DOOR: {}, "prefect-server.service": {}}})
    if opens:
        way.open(host)
    else:
        way.shut(host, Notice(2, 0, 0, "new"))
    assert host.stat(mark) is None and (host.stat(NOTICE) is None) is opens


def test_what_is_undeployed_leaves_no_mark_of_a_drain() -> None:
    unit, marks = "prefect-worker-etl.service", "/var/lib/encamp/drained"
    files = {
        f"/etc/systemd/system/{unit}": f"{MARK}[Service]\nEnvironmentFile=/etc/prefect/default/worker.env\n",
        f"{marks}/{unit}": "ada\n",
        f"{marks}/prefect-worker-b-etl.service": "ada\n",
    }
    host = CaseHost({"files": files, "units": {unit: {}}, "answers": {"systemctl *": ""}})
    gone = InstanceUnitsAbsent("default", "prefect-server.service", "/etc/prefect/default")
    gone.apply(host, gone.check(host))
    assert host.listdir(marks) == ["prefect-worker-b-etl.service"]
