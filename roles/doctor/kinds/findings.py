"""A diagnosis: looks in an order, each told as it is made, and what a failed one makes impossible to tell.

The words of a finding: ``ok``, ``warn`` (works, but will not for long, or surprises), ``FAIL`` (the answer to "why does
it not work"), and ``-`` for what cannot be told because something before it failed.
"""

from __future__ import annotations

from typing import Callable, Generic, Optional, Sequence, TypeVar

from encamp.resources.base import Failure
from encamp.resources.system import Reader, System
from encamp.shared.record import record, replace
from roles.prefect.kinds.api import Problem

OK, WARN, FAIL, UNTOLD = "ok", "warn", "FAIL", "-"
P = TypeVar("P")


@record
class Remedy:
    """A mending that is safe to make unasked: what it does, and how. ``apply`` raises Failure."""

    what: str
    apply: Callable[[System], None]


@record
class Finding:
    """What a look found. ``cause`` and ``fix`` are for a FAIL and a warn; ``detail`` the last lines of a log."""

    status: str
    text: str
    cause: str = ""
    fix: str = ""
    detail: str = ""
    remedy: Optional[Remedy] = None


def ok(text: str) -> Finding:
    """Nothing wrong."""
    return Finding(OK, text)


def warn(text: str, cause: str = "", fix: str = "") -> Finding:
    """It works, and it should not be left so."""
    return Finding(WARN, text, cause, fix)


def fail(text: str, cause: str = "", fix: str = "", detail: str = "", remedy: Optional[Remedy] = None) -> Finding:
    """It does not work."""
    return Finding(FAIL, text, cause, fix, detail, remedy)


def failed(problem: Problem, detail: str = "", remedy: Optional[Remedy] = None) -> Finding:
    """A problem of the API as a finding."""
    return fail(problem.reason, problem.cause, problem.fix, detail, remedy)


@record
class Look(Generic[P]):
    """One look at a patient, by name. It is not made where one of ``needs`` failed or was not made itself.

    ``see`` returns None where there is nothing to look at (no TLS in a plain URL).
    """

    name: str
    see: Callable[[P], Optional[Finding]]
    needs: tuple[str, ...] = ()


def examine(
    host: Reader,
    patient: P,
    who: str,
    looks: Sequence[Look[P]],
    remedy: Callable[[P, str, Finding], Optional[Remedy]],
) -> list[tuple[str, Finding]]:
    """Make every look that can be made, and tell the controller of each. ``who`` names the patient on its host.

    ``remedy`` says what may be done about a finding.
    """
    found: list[tuple[str, Finding]] = []
    closed: set[str] = set()
    for look in looks:
        blocked = [need for need in look.needs if need in closed]
        finding = Finding(UNTOLD, "not reached") if blocked else _seen(look, patient)
        if finding is None:
            continue
        if finding.status in (FAIL, UNTOLD):
            closed.add(look.name)
        if finding.status in (FAIL, WARN) and finding.remedy is None:
            finding = replace(finding, remedy=remedy(patient, look.name, finding))
        found.append((look.name, finding))
        tell(host, who, look.name, finding)
    return found


def tell(host: Reader, who: str, name: str, finding: Finding) -> None:
    """Send a finding to the controller."""
    data = {"patient": who, "name": name, "status": finding.status, "text": finding.text}
    data.update(cause=finding.cause, fix=finding.fix, detail=finding.detail)
    data["remedy"] = finding.remedy.what if finding.remedy else ""
    host.finding({key: value for key, value in data.items() if value})


def _seen(look: Look[P], patient: P) -> Optional[Finding]:
    """What a look sees; one that could not be made is told, and never ends the diagnosis."""
    try:
        return look.see(patient)
    except Failure as failure:
        return fail(failure.reason, failure.cause, failure.fix, failure.detail)
    except OSError as error:
        return warn(f"cannot be looked at: {error}")
