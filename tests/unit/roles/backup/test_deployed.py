"""What the inventory's `backup:` becomes: timers, their times, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from encamp.commands.deploy import prepare
from encamp.errors import EncampError
from encamp.inventory.load import load_inventory
from encamp.shared.secret import Secret
from encamp.site import Site
from roles.backup.kinds.timers_only import BackupTimersOnly

UNITS = "/etc/systemd/system"


def planned(
    tmp_path: Path, servers: dict[str, Any], databases: dict[str, Any] | None = None, **groups: Any
) -> dict[str, dict[str, Any]]:
    """The resources of every host, by id."""
    children = {"servers": {"hosts": servers}, "databases": {"hosts": databases or {}}, **groups}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
    site = Site(load_inventory(tmp_path), [])
    prepared = prepare(site, list(site.hosts), True)
    return {
        name: {step.resource.id: step.resource for step in plan.steps} for (name, _), plan in prepared.plans.items()
    }


def server(**settings: Any) -> dict[str, Any]:
    return {"vm1": {"ansible_host": "192.0.2.1", **settings}}


@pytest.mark.parametrize(
    ("settings", "backup", "rehearsal"),
    [
        ({}, "*-*-* 02:30:00", "Sun *-*-* 04:00:00"),
        ({"every": "hour", "at": "23:10"}, "*-*-* *:10:00", "Sun *-*-* 00:40:00"),
        ({"every": "6 hours", "at": "14:05", "rehearse": "day"}, "*-*-* 02/6:05:00", "*-*-* 15:35:00"),
        ({"every": "week", "at": "01:00", "rehearse": "never"}, "Sun *-*-* 01:00:00", ""),
    ],
)
def test_when_the_timers_fire(tmp_path: Path, settings: dict[str, Any], backup: str, rehearsal: str) -> None:
    steps = planned(tmp_path, server(backup=settings))["vm1"]
    assert f"OnCalendar={backup}\n" in steps["SystemdUnit:prefect-backup.timer"].content
    assert ("SystemdUnit:prefect-rehearsal.timer" in steps) == bool(rehearsal)
    if rehearsal:
        assert f"OnCalendar={rehearsal}\n" in steps["SystemdUnit:prefect-rehearsal.timer"].content


def test_without_the_setting_only_old_timers_are_looked_for(tmp_path: Path) -> None:
    steps = planned(tmp_path, server())["vm1"]
    assert [name for name in steps if "ackup" in name] == ["BackupTimersOnly:timers"]
    assert steps["BackupTimersOnly:timers"] == BackupTimersOnly("timers")


def test_the_timers_are_on_the_databases_host(tmp_path: Path) -> None:
    steps = planned(tmp_path, server(database_host="db1", backup={"keep": 3}), {"db1": {"ansible_host": "192.0.2.9"}})
    assert "SystemdUnit:prefect-backup.timer" in steps["db1"]
    assert "SystemdUnit:prefect-backup.timer" not in steps["vm1"]
    text = steps["db1"]["File:/etc/prefect/backup-prefect.conf"].content.partition("\n")[2]
    found = json.loads(text)
    assert (found["database"], found["owner"], found["keep"], "link" in found) == ("prefect", "prefect", 3, False)


def test_each_instance_has_its_own(tmp_path: Path) -> None:
    instances = {"default": {"backup": {}}, "lite": {"database": "sqlite", "port": 4300, "backup": {}}}
    steps = planned(tmp_path, server(instances=instances))["vm1"]
    assert steps["BackupTimersOnly:timers"].kept == (
        "prefect-backup-prefect-lite.sqlite.timer",
        "prefect-backup.timer",
        "prefect-rehearsal-prefect-lite.sqlite.timer",
        "prefect-rehearsal.timer",
    )
    unit = steps["SystemdUnit:prefect-backup-prefect-lite.sqlite.service"].content
    assert "ExecStart=/opt/prefect/lite/bin/python -I /opt/encamp/backup/start.py backup " in unit


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backup": {}, "runtime": "compose"}, "runtime: compose"),
        ({"backup": {}, "database_url": {"env": "A_URL"}}, "does not manage the Postgres of database_url"),
        ({"backup": {"at": "2:30"}}, "must be a time such as 02:30"),
        ({"backup": {"directory": "backups"}}, "must be an absolute path"),
        ({"backup": {"kep": 3}}, "keep"),
        ({"backup": None}, "has no value"),
    ],
)
def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], said: str) -> None:
    monkeypatch.setenv("A_URL", "postgresql://u:p@db/prefect")
    with pytest.raises(EncampError) as caught:
        planned(tmp_path, server(**settings))
    assert said in f"{caught.value} {caught.value.fix}"
    assert "hosts.yml" in str(caught.value)


STORE = {"backups": {"hosts": {"vault1": {"ansible_host": "192.0.2.30", "known_hosts": "known"}}}}


def test_a_copy_needs_a_host_of_the_group_whose_key_is_known(tmp_path: Path) -> None:
    (tmp_path / "known").write_text("192.0.2.30 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n192.0.2.31 ssh-ed25519 BBBB\n")
    steps = planned(tmp_path, server(backup={"copy_to": "vault1"}), **STORE)
    known = steps["vm1"]["File:/etc/prefect/backup-prefect.known_hosts"].content
    assert known.splitlines()[1:] == ["vault1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"]
    told = json.loads(steps["vm1"]["File:/etc/prefect/backup-prefect.conf"].content.partition("\n")[2])
    assert told["copy_command"][-2:] == ["prefect-backup@192.0.2.30", "receive"]
    (line,) = steps["vault1"]["File:/var/lib/prefect-backup/.ssh/authorized_keys"].content.splitlines()[1:]
    assert line.startswith('restrict,command="/usr/bin/python3 -I /opt/encamp/backup/start.py receive ')
    key = steps["vm1"]["File:/etc/prefect/backup-prefect.key"]
    assert isinstance(key.content, Secret) and key.mode == 0o600


@pytest.mark.parametrize(
    ("backup", "known", "said"),
    [
        ({"copy_to": "vault2"}, "192.0.2.30", "vault2 is not a host of the group backups (its hosts: vault1)"),
        ({"copy_to": "vault1"}, "192.0.2.99", "no host key of vault1 is known on this machine"),
    ],
)
def test_a_copy_that_cannot_be_sent_is_refused(tmp_path: Path, backup: dict[str, Any], known: str, said: str) -> None:
    (tmp_path / "known").write_text(f"{known} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n")
    with pytest.raises(EncampError) as caught:
        planned(tmp_path, server(backup=backup), **STORE)
    assert said in str(caught.value) and caught.value.fix


def test_a_secret_of_the_command_is_in_no_readable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTIC", "s3cret")
    given = {"command": ["restic", "backup", "--stdin"], "environment": {"RESTIC_PASSWORD": {"env": "RESTIC"}}}
    file = planned(tmp_path, server(backup=given))["vm1"]["File:/etc/prefect/backup-prefect.conf"]
    assert (file.mode, "s3cret" in file.content.reveal(), str(file.content)) == (0o600, True, "***")
