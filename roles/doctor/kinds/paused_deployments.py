"""Schedules that make no flow runs because their deployment is paused, as a stopped ``flow.serve()`` leaves it."""

from __future__ import annotations

from roles.doctor.kinds.api_target import ApiTarget

#: How many paused deployments are looked at: what a server returns at most.
LIMIT = 200
SHOWN = 3


def paused_note(target: ApiTarget) -> str:
    """One line that names paused deployments with active schedules; empty where there are none.

    Also empty where the server cannot be asked, as Prefect before 2.16: there the schedule itself is what is paused.
    """
    query = {"deployments": {"paused": {"eq_": True}}, "sort": "NAME_ASC", "limit": LIMIT}
    found = target.ask("POST", "deployments/filter", query) or ()
    names = [
        str(deployment.get("name"))
        for deployment in found
        if any(each.get("active") for each in deployment.get("schedules") or ())
    ]
    if not names:
        return ""
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"paused deployments with active schedules, which create no flow runs: {len(names)} ({shown})"
