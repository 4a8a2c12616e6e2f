"""What the doctor may do for a client unasked: write and activate encamp's own profile; tidy files encamp wrote."""

from __future__ import annotations

import re
from typing import Optional

from encamp.resources.base import Failure, Resource
from encamp.resources.system import System
from encamp.shared.record import replace
from roles.client.kinds.profile.prefect_profile import PrefectProfile
from roles.client.kinds.profile.record import load
from roles.doctor.kinds.client.subject import ClientSubject
from roles.doctor.kinds.findings import FAIL, Finding, Fix
from roles.prefect.kinds.user_environment import Variable, text_of

#: Looks whose failure a rewritten profile can cure.
CURABLE = ("profiles", "API", "name", "port", "TLS", "path", "auth")
OWN_HEADER = "# Managed by encamp"
URL = "PREFECT_API_URL"


def fix_for(subject: ClientSubject, name: str, finding: Finding) -> Optional[Fix]:
    """The safe remedy for a finding; None where it is for the user to decide."""
    if finding.status != FAIL or name not in CURABLE:
        return None
    return _stale_line(subject) or _profile(subject)


def _stale_line(subject: ClientSubject) -> Optional[Fix]:
    """A variable in a file that encamp wrote, where the site wants another value."""
    url = subject.url
    if url is None or not url.source.startswith("/") or url.value.rstrip("/") == subject.kind.api_url.rstrip("/"):
        return None
    path, _, line = url.source.rpartition(":")
    if not text_of(subject.host, path).startswith(OWN_HEADER):
        return None

    def apply(host: System) -> None:
        lines = text_of(host, path).splitlines(keepends=True)
        found = host.stat(path)
        del lines[int(line) - 1]
        host.write(path, "".join(lines), mode=found.mode if found else 0o644)

    return Fix(f"removes {URL} from {path}, which encamp wrote", apply)


def _profile(subject: ClientSubject) -> Optional[Fix]:
    """encamp's profile, written and made active as `fab configure-client` does, where nothing overrides it."""
    kind, settings = subject.kind, subject.settings
    if not kind.api_url or not kind.declared or settings.profile.error:
        return None
    if _stronger(subject) or not _is_ours(subject) or not _is_cure(subject):
        return None
    declared = _declared(subject)

    def apply(host: System) -> None:
        for resource in declared:
            changes = resource.check(host)
            if changes:
                resource.apply(host, changes)

    return Fix(f"writes the profile {kind.profile} ({kind.api_url}) and makes it the active one", apply)


def _declared(subject: ClientSubject) -> list[Resource]:
    """What `fab configure-client` declares: certificates, then the profile, where this user's Prefect checks."""
    found: list[Resource] = []
    for resource in subject.kind.declared:
        is_profile = isinstance(resource, PrefectProfile)
        found.append(replace(resource, path=subject.settings.profiles_path) if is_profile else resource)
    return found


def _is_cure(subject: ClientSubject) -> bool:
    """Whether the profile is not as the site wants it, and the site's API answers here."""
    kind = subject.kind
    try:
        if not any(resource.check(subject.host) for resource in _declared(subject)):
            return False
    except Failure:
        return False
    answer = subject.host.http("GET", f"{kind.api_url.rstrip('/')}/health", timeout=6, ca_file=kind.ca_file)
    return answer.status == 200 and answer.body.strip() == b"true"


def _stronger(subject: ClientSubject) -> Optional[Variable]:
    """A setting of the user that overrides any profile, or selects another one."""
    settings = subject.settings
    winner = settings.value(URL)
    if winner and settings.profile.values.get(URL) is not winner:
        return winner
    chosen = settings.profile
    if not re.match(rf"(?:{re.escape(settings.profiles_path)}:\d+|default)$", chosen.source):
        return Variable("PREFECT_PROFILE", chosen.missing or chosen.name, chosen.source)
    return None


def _is_ours(subject: ClientSubject) -> bool:
    """Whether the profile of that name is encamp's own, or there is none yet."""
    path, name = subject.settings.profiles_path, subject.kind.profile
    there = re.search(rf"(?m)^\s*\[\s*profiles\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]", text_of(subject.host, path))
    return not there or any(name in record.profiles for record in load(subject.host).values())
