"""The doctor of a client: a user's Prefect, what sets its API URL, and the way to the server."""

from __future__ import annotations

import os
from typing import ClassVar, Optional

from encamp.resources.base import kind
from encamp.resources.system import Reader
from roles.doctor.kinds.api_checks import CHECKS
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.client.checks import BEFORE, DATABASE_URL, after
from roles.doctor.kinds.client.fields import ClientFields
from roles.doctor.kinds.client.fixes import fix_for
from roles.doctor.kinds.client.subject import ClientSubject, target_of
from roles.doctor.kinds.doctor import Doctor, Found, start_report
from roles.doctor.kinds.findings import Check, Finding, examine
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
        subject = self._subject(host)
        start_report(host, self.subject, _verdict(subject))
        target = target_of(subject)
        checks: list[Check[ClientSubject]] = [
            *BEFORE,
            *(_of_api(check, target) for check in CHECKS),
            *after([_absolute(folder, host.home) for folder in self.projects]),
        ]
        return examine(host, subject, self.subject, checks, fix_for)

    def _subject(self, host: Reader) -> ClientSubject:
        found = installed(host)
        here = session(host).get("PWD") if self.local else ""
        folders = [_absolute(folder, host.home) for folder in self.projects] or [here or host.home]
        version = found[0].version if found else ""
        environment = login_variables(host, self.local)
        return ClientSubject(host, self, tuple(found), ClientSettings(host, version, folders[0], environment))


def _of_api(check: Check[ApiTarget], target: Optional[ApiTarget]) -> Check[ClientSubject]:
    """A check of the API, run only where an API is set."""

    def run(subject: ClientSubject) -> Optional[Finding]:
        return check.run(target) if target else None

    return Check(check.name, run, check.needs or ("API",))


def _verdict(subject: ClientSubject) -> str:
    """The one line that answers: which API, and what set it."""
    settings, home = subject.settings, subject.host.home
    url = settings.value("PREFECT_API_URL")
    if url and url.value:
        text = f"uses {without_password(url.value)}, set by {where_of(url, settings.profile)}"
    elif not subject.installed and (subject.kind.local or not subject.kind.api_url):
        text = "has no Prefect, and no API URL is set"
    elif subject.kind.mode == "database" and settings.value(*DATABASE_URL):
        text = "uses no API: its flows write directly to the database"
    elif settings.ephemeral:
        text = "uses no hosted API: each flow starts its own temporary (ephemeral) server"
    else:
        text = "uses no API: none is set, and ephemeral mode is off"
    return shortened(text, home)


def shortened(text: str, home: str) -> str:
    """A text with the home directory as ``~``."""
    return text.replace(home.rstrip("/") + "/", "~/") if home.strip("/") else text


def _absolute(folder: str, home: str) -> str:
    return os.path.normpath(os.path.join(home, os.path.expanduser(folder)))
