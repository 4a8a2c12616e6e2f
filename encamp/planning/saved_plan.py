"""A saved plan: a file that says exactly what a deploy would do, and that a later one does or refuses.

It is JSON for people and programs. Everything in it is sealed with the site's key: nothing in a plan that was altered,
or that comes from elsewhere, is believed. See the ADR on saved plans.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from encamp import __version__
from encamp.errors import Origin, SavedPlanError
from encamp.planning.saved_plan_key import PlanKey
from encamp.shared.record import record
from encamp.support import atomic_file

FORMAT = 1
KIND = "encamp saved plan"
VALID = datetime.timedelta(days=7)
#: A plan of 200 hosts takes about 20 MB; what is larger is none.
LARGEST = 256 * 1024 * 1024
#: Lines that name steps in a refusal.
SHOWN = 12
AGAIN = "make a new plan with `fab deploy --plan FILE`, review it, and apply that one"


@record
class Made:
    """Who makes a plan, of what. ``options`` are those of the command line that decide what is done."""

    id: str
    who: str
    machine: str
    site: str
    code: str
    options: Mapping[str, Any]


def document(made: Made, jobs: Sequence[Mapping[str, Any]], key: PlanKey) -> dict[str, Any]:
    """A plan, sealed. ``jobs``: one for each host and session, as ``saved_plan_steps`` describes them."""
    now = datetime.datetime.now(datetime.timezone.utc)
    unsealed = {
        "kind": KIND,
        "format": FORMAT,
        "id": made.id,
        "made": _written(now),
        "expires": _written(now + VALID),
        "who": made.who,
        "from": made.machine,
        "site": made.site,
        "encamp": __version__,
        "code": made.code,
        "options": dict(made.options),
        "hosts": list(jobs),
        "key": key.name,
    }
    return {**unsealed, "seal": _seal(unsealed, key)}


def check_place(file: str) -> None:
    """Raises SavedPlanError where a plan could not be written, before any host is asked."""
    try:
        folder = Path(atomic_file.check(file)).parent
    except OSError:
        folder = None
    if folder is None or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise SavedPlanError(f"cannot write a plan to {file}", "name a file in a folder that you can write to")


def write(file: str, plan: Mapping[str, Any]) -> None:
    """Write a plan, whole or not at all, for its owner alone (0600). Raises SavedPlanError."""
    try:
        atomic_file.write(file, json.dumps(plan, indent=2).encode() + b"\n", 0o600)
    except OSError as error:
        raise SavedPlanError(f"cannot write the plan {file}: {error.strerror}", "name another file") from None


def read(file: str) -> str:
    """The text of a plan's file. Raises SavedPlanError."""
    try:
        if os.path.getsize(file) > LARGEST:
            raise _no_plan(file, "it is too large")
        return Path(file).read_text("utf-8")
    except UnicodeDecodeError:
        raise _no_plan(file, "it is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SavedPlanError(
            f"cannot read the plan {file}: {reason}", "name a file that `fab deploy --plan` wrote"
        ) from None


def unsealed(text: str, file: str, key: PlanKey, now: datetime.datetime | None = None) -> dict[str, Any]:
    """A plan from its text, once its seal is verified. Raises SavedPlanError for any other."""
    where = Origin(file)
    plan = _parsed(text, file)
    if plan.get("key") != key.name:
        raise SavedPlanError(
            "this plan was sealed with the key of another site or machine",
            f"apply it where it was made, with the same --inventory ({plan.get('site')} there), "
            "or give that machine's key in ENCAMP_PLAN_KEY",
            where,
        )
    unsealed = {name: value for name, value in plan.items() if name != "seal"}
    if plan.get("seal") != _seal(unsealed, key):
        raise SavedPlanError("this plan was modified after it was made", AGAIN, where)
    if (now or datetime.datetime.now(datetime.timezone.utc)) > datetime.datetime.fromisoformat(plan["expires"]):
        raise SavedPlanError(f"this plan has expired: it was made {plan['made']}", AGAIN, where)
    return plan


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        plan = json.loads(text)
    except (ValueError, RecursionError):
        raise _no_plan(file, "it is not JSON") from None
    if not isinstance(plan, dict) or plan.get("kind") != KIND:
        raise _no_plan(file, "it is not marked as one")
    if plan.get("format") != FORMAT:
        reason = f"this plan has format {plan.get('format')!r}; this encamp reads format {FORMAT}"
        raise SavedPlanError(reason, "apply it with the encamp that made it", Origin(file))
    return plan


def _no_plan(file: str, reason: str) -> SavedPlanError:
    return SavedPlanError(
        f"this is not a saved plan: {reason}", "name a file that `fab deploy --plan` wrote", Origin(file)
    )


def _seal(unsealed: Mapping[str, Any], key: PlanKey) -> str:
    return key.mac("seal", canonical(unsealed))


def canonical(data: Any) -> str:
    """JSON data as the one text that is hashed."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def _written(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="seconds")
