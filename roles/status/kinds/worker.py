"""The state of an instance's workers and agents, on their own host."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import kind
from roles.doctor.kinds import worker as doctor
from roles.doctor.kinds.api_checks import check_auth, check_version
from roles.doctor.kinds.findings import Check
from roles.doctor.kinds.route import check_name, check_port
from roles.doctor.kinds.worker import WorkerDoctor, WorkerSubject, of_api

#: Of the route to the server: what can change without a deploy.
ROUTE = (
    Check("name", check_name, ("unit", "API")),
    Check("port", check_port, ("name",)),
    Check("auth", check_auth, ("port",)),
    Check("version", check_version, ("auth",)),
)


@kind
class WorkerStatus(WorkerDoctor):
    """Reports the state of an instance's workers and agents on this host, and of their way to the server.

    Its fields are those of WorkerDoctor. Changes nothing.
    """

    def checks(self, subject: WorkerSubject) -> Sequence[Check[WorkerSubject]]:
        return [
            doctor.CHECK_UNIT,
            doctor.CHECK_API,
            *(of_api(check, subject.target) for check in ROUTE),
            doctor.CHECK_ONLINE,
            doctor.CHECK_RUNS,
            doctor.CHECK_ERRORS,
            doctor.CHECK_DISK,
        ]

    def verdict(self, subject: WorkerSubject) -> str:
        return f"Prefect {subject.release}, {super().verdict(subject)}"
