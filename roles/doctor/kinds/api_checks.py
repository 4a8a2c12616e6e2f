"""The checks at a server through its API, with the client's own credentials: auth, version, CSRF, UI, service."""

from __future__ import annotations

from typing import Any, Optional
from urllib.parse import urlsplit

from roles.doctor.kinds.api_target import LISTENED_ON, OWN, TIMEOUT, ApiTarget, clock_ahead, json_of
from roles.doctor.kinds.findings import Check, Finding, fail, failed, ok, unknown, warn
from roles.doctor.kinds.late_runs import causes
from roles.doctor.kinds.paused_deployments import paused_note
from roles.doctor.kinds.route import check_name, check_path, check_port
from roles.doctor.kinds.schedules import check_active_schedules
from roles.doctor.kinds.stuck_runs import check_stuck_runs
from roles.doctor.kinds.tls import check_tls
from roles.doctor.kinds.websocket import check_events_in, check_events_out
from roles.prefect.kinds.api import Problem, problem_of
from roles.prefect.kinds.releases import CSRF_SINCE, DEPLOYMENTS, READY_SINCE, TASK_RUNS, WORKERS, mismatch, older
from roles.prefect.kinds.ui_page import problem_of_pages

#: Seconds that the clocks of client and server may differ.
CLOCK_WARN, CLOCK_FAIL = 5.0, 60.0
CLOCK_CAUSE = (
    "one of the clocks is not synchronized: runs look early or late, logs are out of order, certificates look invalid"
)
#: Seconds after which a due run that is not even marked late shows that the background services stand still.
STALLED = 180
NEWER = "the client is newer than the server; a server must be at least as new as every client"
OLDER = "this client is too old for what the server requires"
UPGRADE = "upgrade the server (prefect_version, then `fab deploy`), or give this client the server's release"


def check_auth(target: ApiTarget) -> Optional[Finding]:
    """The server accepts this client."""
    answer = target.call("GET", "admin/version")
    if answer.status == 200:
        target.server_version = str(json_of(answer))
        asks = target.call("GET", "admin/version", bare=True).status == 401
        if asks:
            return ok("the server accepts user and password")
        return ok(
            "the server requires no user and password" + (", but this client sends them" if target.headers() else "")
        )
    if answer.status == 401:
        return fail("the server answers 401 Unauthorized", *_unauthorized(target))
    return failed(problem_of(answer, "GET", f"{target.url.rstrip('/')}/admin/version") or Problem("no answer"))


def _unauthorized(target: ApiTarget) -> tuple[str, str]:
    """Why, and what to do: missing, wrong, a key of Prefect Cloud, or a client that cannot."""
    if not target.can_authenticate:
        return (
            f"Prefect {target.version} clients do not support authentication; Prefect 3.1.8 added it",
            "upgrade this client, or disable auth on the server (auth: off) and restrict allowed_sources",
        )
    if target.headers().get("Authorization", "").startswith("Bearer"):
        return (
            "this client sends a Prefect Cloud key instead of user and password: PREFECT_API_KEY, "
            f"set by {target.key_where}",
            "remove PREFECT_API_KEY there" + ("" if target.auth else ", and set PREFECT_API_AUTH_STRING"),
        )
    if target.auth is None:
        return (
            "this client has no user and password: PREFECT_API_AUTH_STRING is not set",
            "run `fab configure-client`, or copy the server's PREFECT_SERVER_API_AUTH_STRING to the profile",
        )
    return (
        "user and password do not match the server's: PREFECT_API_AUTH_STRING is wrong or outdated",
        "run `fab configure-client` again, or correct the profile",
    )


def check_version(target: ApiTarget) -> Optional[Finding]:
    """The server is at least as new as the client."""
    if not target.version:
        return ok(f"the server runs Prefect {target.server_version}; no client is installed on this machine")
    text = f"client {target.version}, server {target.server_version}"
    newer = older(target.server_version, target.version)
    cause, fix = (NEWER, UPGRADE) if newer else (OLDER, f"install {target.server_version} for this client")
    others = (TASK_RUNS,) if WORKERS in target.work else (TASK_RUNS, DEPLOYMENTS)
    for work, say in ((target.work, fail), (others, warn)):
        found = mismatch(target.version, target.server_version, *work, auth=target.auth is not None)
        if found:
            return say(f"{text}: {found}", cause, fix)
    return warn(text, cause, fix) if newer else ok(text)


def check_csrf(target: ApiTarget) -> Optional[Finding]:
    """Where the server asks for CSRF tokens, the client sends them."""
    answer = target.call("POST", "flow_runs/filter", {"limit": 1})
    if answer.status != 403 or b"CSRF" not in answer.body:
        return None
    if target.version and older(target.version, CSRF_SINCE):
        return fail(
            "the server requires CSRF tokens: 403 Missing CSRF token",
            f"Prefect {target.version} clients do not support them; Prefect {CSRF_SINCE} added them",
            "upgrade this client, or disable CSRF protection on the server",
        )
    if target.csrf_off:
        return fail(
            "the server requires CSRF tokens: 403 Missing CSRF token",
            "CSRF support is disabled in this client: PREFECT_CLIENT_CSRF_SUPPORT_ENABLED is false",
            "remove that setting",
        )
    return ok("the server requires CSRF tokens, and this client sends them")


def check_ui(target: ApiTarget) -> Optional[Finding]:
    """The UI's pages load, and give browsers an API address that is reachable from this machine."""
    answer = target.host.http("GET", f"{target.base}/ui-settings", None, {}, TIMEOUT, target.ca_file)
    found = json_of(answer)
    if answer.status != 200 or not isinstance(found, dict):
        return None  # this server has no UI
    api_url = str(found.get("api_url") or "")
    problem = problem_of_pages(target.host, target.base, found, target.ca_file)
    if problem:
        return failed(problem)
    if api_url.startswith("/") or api_url.rstrip("/") == target.url.rstrip("/"):
        return ok(f"the UI tells browsers to use {api_url}")
    name = urlsplit(api_url).hostname or ""
    seen = f"the UI tells browsers to use {api_url or 'no address'}"
    fix = f"set public_url for the server, then `fab -H {target.server} deploy` (it sets PREFECT_UI_API_URL)"
    if name in LISTENED_ON or (name in OWN and not target.near):
        return fail(seen, f"{name} is not reachable for browsers on other machines: the UI stays empty", fix)
    if not target.healthy(api_url):
        return fail(
            seen, "that address does not respond from this machine: the UI shows `Can't connect to Server API`", fix
        )
    return ok(seen)


def check_service(target: ApiTarget) -> Optional[Finding]:
    """The database behind it answers, and a real POST works: health is true on servers where every POST fails."""
    ready = target.call("GET", "ready")
    known = not older(target.server_version, READY_SINCE)
    problem = problem_of(ready, "GET", f"{target.url}/ready") if known or ready.status != 404 else None
    if problem is None:
        answer = target.api.call(target.host, "POST", "flow_runs/filter", {"limit": 1}, timeout=TIMEOUT)
        problem = problem_of(answer, "POST", f"{target.url}/flow_runs/filter")
    return failed(problem) if problem else ok("ready, and answers a query")


def check_schedules(target: ApiTarget) -> Optional[Finding]:
    """The background services run: runs that are due and that no worker takes are marked late within seconds."""
    stalled = _count(target, "Scheduled", STALLED)
    if stalled:
        return fail(
            f"{stalled} flow runs are overdue by more than {STALLED // 60} minutes and are not marked late",
            "the server's background services are not running (--no-services), or they hang",
            "run `prefect server services start`, or restart the server",
        )
    barren = check_active_schedules(target)
    if barren:
        return barren
    late = _count(target, "Late", 0)
    if late is None:
        return unknown("late runs cannot be counted")
    text = "; ".join(filter(None, (f"{late} flow runs are late" if late else "no late runs", paused_note(target))))
    if not late:
        return ok(text)
    found = causes(target)
    return warn(text, "; ".join(why for why, _ in found), "; ".join(fix for _, fix in found))


def _count(target: ApiTarget, state: str, age: int) -> Optional[int]:
    """How many runs are in a state by its name, and due since ``age`` seconds; None where it cannot be asked."""
    import datetime

    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age + clock_ahead(target))
    chosen: dict[str, Any] = {"state": {"name": {"any_": [state]}}}
    if age:
        chosen["next_scheduled_start_time"] = {"before_": before.isoformat()}
    found = target.ask("POST", "flow_runs/count", {"flow_runs": chosen})
    return found if isinstance(found, int) else None


def check_clock(target: ApiTarget) -> Optional[Finding]:
    """The clocks of this machine and the server agree, by the Date header of an answer."""
    ahead = clock_ahead(target)
    if abs(ahead) < CLOCK_WARN:
        return ok("in sync with the server")
    text = f"this machine is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server"
    fix = "enable time synchronization on both (`timedatectl set-ntp true`)"
    return fail(text, CLOCK_CAUSE, fix) if abs(ahead) >= CLOCK_FAIL else warn(text, CLOCK_CAUSE, fix)


#: From the name to the clock. A check whose needs failed is reported as not reached.
CHECKS: tuple[Check[ApiTarget], ...] = (
    Check("name", check_name),
    Check("port", check_port, ("name",)),
    Check("TLS", check_tls, ("port",)),
    Check("path", check_path, ("port", "TLS")),
    Check("auth", check_auth, ("path",)),
    Check("version", check_version, ("auth",)),
    Check("CSRF", check_csrf, ("auth",)),
    Check("events in", check_events_in, ("auth",)),
    Check("events out", check_events_out, ("auth",)),
    Check("UI", check_ui, ("path",)),
    Check("service", check_service, ("auth", "CSRF")),
    Check("schedules", check_schedules, ("service",)),
    Check("stuck runs", check_stuck_runs, ("service",)),
    Check("clock", check_clock, ("path",)),
)
