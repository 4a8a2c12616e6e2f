"""What the doctor says of a database's backups."""

from __future__ import annotations

import pytest

from roles.doctor.kinds.backups import BackupDoctor, BackupSubject, _check_last, _check_proven
from tests.unit.resources.case_host import CaseHost

UNITS = ("prefect-backup.service", "prefect-rehearsal.service")


@pytest.mark.parametrize(("check", "unit"), list(zip((_check_last, _check_proven), UNITS, strict=True)))
def test_a_failed_run_is_over_when_its_unit_has_run_again(check: object, unit: str) -> None:
    """`fab backup` runs the program itself: the unit would stay failed until its timer fires."""
    failed = {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "ExecMainStatus": "1"}
    said = "Dec 01 02:30:01 vm1 python3[7]: error: 3 MiB are free\n"
    host = CaseHost({"units": dict.fromkeys(UNITS, failed), "answers": {"journalctl *": said}})
    kind = BackupDoctor("prefect", "python3", "c", "prefect-backup", "prefect-rehearsal", server="vm1")
    found = check(BackupSubject(host, kind))  # type: ignore[operator]
    assert found.text == f"the last run of {unit} failed" and found.cause == "3 MiB are free"
    assert found.fix == f"remove the cause, then on vm1: `systemctl start {unit}`"
