"""A diagnosis: checks in order, each reported as soon as it is done; those that need a failed one are skipped.

The words of a finding: ``ok``, ``warn`` (works, but will not for long, or surprises), ``FAIL`` (the answer to "why does
it not work"), and ``-`` for what cannot be told because something before it failed.
"""

from __future__ import annotations

from typing import Callable, Generic, Optional, Sequence, TypeVar

from encamp.resources.base import Failure
from encamp.resources.system import Reader, System
from encamp.shared.record import record, replace
from roles.prefect.kinds.api import Problem

OK, WARN, FAIL, SKIPPED = "ok", "warn", "FAIL", "-"
P = TypeVar("P")


@record
class Fix:
    """A mending that is safe to make unasked: what it does, and how. ``apply`` raises Failure."""

    what: str
    apply: Callable[[System], None]


@record
class Finding:
    """The result of a check. ``cause`` and ``fix`` are for a FAIL and a warn; ``detail`` the last lines of a log.

    ``closes``: as a FAIL does, it makes those that need it pointless.
    """

    status: str
    text: str
    cause: str = ""
    fix: str = ""
    detail: str = ""
    remedy: Optional[Fix] = None
    closes: bool = False


def ok(text: str) -> Finding:
    """Nothing wrong."""
    return Finding(OK, text)


def warn(text: str, cause: str = "", fix: str = "") -> Finding:
    """It works, and it should not be left so."""
    return Finding(WARN, text, cause, fix)


def fail(text: str, cause: str = "", fix: str = "", detail: str = "", remedy: Optional[Fix] = None) -> Finding:
    """It does not work."""
    return Finding(FAIL, text, cause, fix, detail, remedy)


def unknown(text: str) -> Finding:
    """What cannot be told here, and why."""
    return Finding(SKIPPED, text)


def failed(problem: Problem, detail: str = "", remedy: Optional[Fix] = None) -> Finding:
    """A problem of the API as a finding."""
    return fail(problem.reason, problem.cause, problem.fix, detail, remedy)


@record
class Check(Generic[P]):
    """One check of a subject, by name. It is skipped where one of ``needs`` failed or was skipped.

    ``run`` returns None where there is nothing to check (no TLS in a plain URL).
    """

    name: str
    run: Callable[[P], Optional[Finding]]
    needs: tuple[str, ...] = ()


def examine(
    host: Reader,
    subject: P,
    who: str,
    checks: Sequence[Check[P]],
    remedy: Callable[[P, str, Finding], Optional[Fix]],
) -> list[tuple[str, Finding]]:
    """Run every check that can run, and report each to the controller. ``who`` names the subject on its host.

    ``remedy`` says what may be done about a finding.
    """
    found: list[tuple[str, Finding]] = []
    closed: set[str] = set()
    for check in checks:
        blocked = [need for need in check.needs if need in closed]
        finding = Finding(SKIPPED, "not reached") if blocked else _result(check, subject)
        if finding is None:
            continue
        if finding.status in (FAIL, SKIPPED) or finding.closes:
            closed.add(check.name)
        if finding.status in (FAIL, WARN) and finding.remedy is None:
            finding = replace(finding, remedy=remedy(subject, check.name, finding))
        found.append((check.name, finding))
        report(host, who, check.name, finding)
    return found


def report(host: Reader, who: str, name: str, finding: Finding) -> None:
    """Send a finding to the controller."""
    data = {"patient": who, "name": name, "status": finding.status, "text": finding.text}
    data.update(cause=finding.cause, fix=finding.fix, detail=finding.detail)
    data["remedy"] = finding.remedy.what if finding.remedy else ""
    host.finding({key: value for key, value in data.items() if value})


def _result(check: Check[P], subject: P) -> Optional[Finding]:
    """The result of a check; an error in it is reported and does not end the diagnosis."""
    try:
        return check.run(subject)
    except Failure as failure:
        return fail(failure.reason, failure.cause, failure.fix, failure.detail)
    except OSError as error:
        return warn(f"cannot be checked: {error}")
