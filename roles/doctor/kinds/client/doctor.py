"""The doctor of a client: a user's Prefect, what sets its API URL, and the way to the server."""

from __future__ import annotations

import os
from typing import ClassVar, Optional

from encamp.resources.base import kind
from encamp.resources.system import Reader
from roles.doctor.kinds.api_checks import LOOKS
from roles.doctor.kinds.api_target import Case
from roles.doctor.kinds.client.checks import BEFORE, DATABASE_URL, after
from roles.doctor.kinds.client.fields import ClientFields
from roles.doctor.kinds.client.fixes import remedy_for
from roles.doctor.kinds.client.subject import Patient, case_of
from roles.doctor.kinds.doctor import Doctor, Found, begin
from roles.doctor.kinds.findings import Finding, Look, examine
from roles.doctor.kinds.precedence import ClientSettings, where_of
from roles.doctor.kinds.shell import login_variables
from roles.prefect.kinds.api import without_password
from roles.prefect.kinds.installs import installed
from roles.prefect.kinds.user_environment import session


@kind
class ClientDoctor(Doctor, ClientFields):
    """Reports which API this user's Prefect really uses and what sets it, then follows the way there. Changes nothing.

    Its fields are those of ClientFields.
    """

    ships: ClassVar[tuple[str, ...]] = ("tomlkit",)

    def examine(self, host: Reader) -> Found:
        patient = self._patient(host)
        begin(host, self.patient, _verdict(patient))
        case = case_of(patient)
        looks: list[Look[Patient]] = [
            *BEFORE,
            *(_of_api(look, case) for look in LOOKS),
            *after([_absolute(folder, host.home) for folder in self.projects]),
        ]
        return examine(host, patient, self.patient, looks, remedy_for)

    def _patient(self, host: Reader) -> Patient:
        found = installed(host)
        here = session(host).get("PWD") if self.local else ""
        folders = [_absolute(folder, host.home) for folder in self.projects] or [here or host.home]
        version = found[0].version if found else ""
        environment = login_variables(host, self.local)
        return Patient(host, self, tuple(found), ClientSettings(host, version, folders[0], environment))


def _of_api(look: Look[Case], case: Optional[Case]) -> Look[Patient]:
    """A look at the API, made only where there is one to look at."""

    def see(patient: Patient) -> Optional[Finding]:
        return look.see(case) if case else None

    return Look(look.name, see, look.needs or ("API",))


def _verdict(patient: Patient) -> str:
    """The one line that answers: which API, and what set it."""
    settings, home = patient.settings, patient.host.home
    url = settings.value("PREFECT_API_URL")
    if url and url.value:
        text = f"uses {without_password(url.value)}, set by {where_of(url, settings.profile)}"
    elif not patient.installed and (patient.kind.local or not patient.kind.api_url):
        text = "has no Prefect, and no API URL is set"
    elif patient.kind.mode == "database" and settings.value(*DATABASE_URL):
        text = "uses no API: its flows write to the database themselves"
    elif settings.ephemeral:
        text = "uses no hosted API: each flow starts a temporary (ephemeral) server of its own"
    else:
        text = "uses no API: none is set, and ephemeral mode is off"
    return shortened(text, home)


def shortened(text: str, home: str) -> str:
    """A text with the home directory as ``~``."""
    return text.replace(home.rstrip("/") + "/", "~/") if home.strip("/") else text


def _absolute(folder: str, home: str) -> str:
    return os.path.normpath(os.path.join(home, os.path.expanduser(folder)))
