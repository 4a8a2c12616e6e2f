"""The looks at a server through its API, with the client's own credentials: auth, version, CSRF, UI, service."""

from __future__ import annotations

from typing import Any, Optional
from urllib.parse import urlsplit

from roles.doctor.kinds.api_target import LISTENED_ON, OWN, TIMEOUT, Case, clock_ahead, json_of
from roles.doctor.kinds.findings import Finding, Look, fail, failed, ok, warn
from roles.doctor.kinds.route import see_name, see_path, see_port
from roles.doctor.kinds.skew import KNOWS_CSRF, skew
from roles.doctor.kinds.tls import see_tls
from roles.doctor.kinds.websocket import see_events_in, see_events_out
from roles.prefect.kinds.api import Problem, problem_of
from roles.prefect.kinds.releases import READY_SINCE, version_key

#: Seconds that the clocks of client and server may differ.
CLOCK_WARN, CLOCK_FAIL = 5.0, 60.0
CLOCK_CAUSE = "one of the two is not synchronized: runs look early or late, logs are out of order, certificates invalid"
#: Seconds after which a due run that is not even marked late shows that the background services stand still.
STALLED = 180


def see_auth(case: Case) -> Optional[Finding]:
    """The server lets this client in."""
    answer = case.call("GET", "admin/version")
    if answer.status == 200:
        case.server_version = str(json_of(answer))
        asks = case.call("GET", "admin/version", bare=True).status == 401
        if asks:
            return ok("user and password are accepted")
        return ok("the server asks for no user and password" + (", this client sends some" if case.headers() else ""))
    if answer.status == 401:
        return fail("the server answers 401 Unauthorized", *_unauthorized(case))
    return failed(problem_of(answer, "GET", f"{case.url.rstrip('/')}/admin/version") or Problem("no answer"))


def _unauthorized(case: Case) -> tuple[str, str]:
    """Why, and what to do: missing, wrong, a key of Prefect Cloud, or a client that cannot."""
    if not case.can_authenticate:
        return (
            f"Prefect {case.version} clients cannot authenticate at all; it came with 3.1.8",
            "upgrade this client, or let the server be without auth (auth: off) behind allowed_sources",
        )
    if case.headers().get("Authorization", "").startswith("Bearer"):
        return (
            f"a key of Prefect Cloud is sent instead of user and password: PREFECT_API_KEY, set by {case.key_where}",
            "remove PREFECT_API_KEY there" + ("" if case.auth else ", and set PREFECT_API_AUTH_STRING"),
        )
    if case.auth is None:
        return (
            "this client has no user and password: PREFECT_API_AUTH_STRING is not set",
            "run `fab configure-client`, or give the profile the server's PREFECT_SERVER_API_AUTH_STRING",
        )
    return (
        "user and password are not those of the server: PREFECT_API_AUTH_STRING is wrong or outdated",
        "run `fab configure-client` again, or correct the profile",
    )


def see_version(case: Case) -> Optional[Finding]:
    """The server is at least as new as the client."""
    if not case.version:
        return ok(f"the server is Prefect {case.server_version}; no client is installed here")
    found = skew(case.version, case.server_version)
    text = f"client {case.version}, server {case.server_version}"
    if found.refused:
        return fail(f"{text}: {found.symptom}", found.cause, found.fix)
    return warn(text, found.cause, found.fix) if found.cause else ok(text)


def see_csrf(case: Case) -> Optional[Finding]:
    """Where the server asks for CSRF tokens, the client sends them."""
    answer = case.call("POST", "flow_runs/filter", {"limit": 1})
    if answer.status != 403 or b"CSRF" not in answer.body:
        return None
    if case.version and version_key(case.version) < KNOWS_CSRF:
        return fail(
            "the server asks for CSRF tokens: 403 Missing CSRF token",
            f"Prefect {case.version} clients know none; they came with 2.16.5",
            "upgrade this client, or turn CSRF protection off at the server",
        )
    if case.csrf_off:
        return fail(
            "the server asks for CSRF tokens: 403 Missing CSRF token",
            "this client was told not to send them: PREFECT_CLIENT_CSRF_SUPPORT_ENABLED is false",
            "remove that setting",
        )
    return ok("the server asks for CSRF tokens, this client sends them")


def see_ui(case: Case) -> Optional[Finding]:
    """The UI tells browsers an address of the API that can be used from here."""
    answer = case.host.http("GET", f"{case.base}/ui-settings", None, {}, TIMEOUT, case.ca_file)
    found = json_of(answer)
    if answer.status != 200 or not isinstance(found, dict):
        return None  # this server has no UI
    told = str(found.get("api_url") or "")
    if told.startswith("/") or told.rstrip("/") == case.url.rstrip("/"):
        return ok(f"the UI tells browsers to use {told}")
    name = urlsplit(told).hostname or ""
    said = f"the UI tells browsers to use {told or 'no address'}"
    fix = f"set public_url for the server, then `fab -H {case.server} deploy` (it sets PREFECT_UI_API_URL)"
    if name in LISTENED_ON or (name in OWN and not case.near):
        return fail(said, f"{name} is no address that a browser elsewhere can reach: the UI stays empty", fix)
    if not case.healthy(told):
        return fail(said, "that address does not answer here: the UI says `Can't connect to Server API`", fix)
    return ok(said)


def see_service(case: Case) -> Optional[Finding]:
    """The database behind it answers, and a real POST works: health is true on servers where every POST fails."""
    ready = case.call("GET", "ready")
    known = version_key(case.server_version) >= READY_SINCE
    problem = problem_of(ready, "GET", f"{case.url}/ready") if known or ready.status != 404 else None
    if problem is None:
        answer = case.api.call(case.host, "POST", "flow_runs/filter", {"limit": 1}, timeout=TIMEOUT)
        problem = problem_of(answer, "POST", f"{case.url}/flow_runs/filter")
    return failed(problem) if problem else ok("ready, and a query is answered")


def see_schedules(case: Case) -> Optional[Finding]:
    """The background services do their work: what is due is marked late within seconds, if nobody takes it."""
    stalled = _count(case, "Scheduled", STALLED)
    if stalled:
        return fail(
            f"{stalled} flow runs are due since {STALLED // 60} minutes, and were not even marked late",
            "the server's background services do not run (--no-services, or they hang)",
            "start `prefect server services start`, or restart the server",
        )
    late = _count(case, "Late", 0)
    if late:
        return warn(f"{late} flow runs are late", "no worker takes them", "look at the workers of their work pool")
    return ok("nothing is late") if late is not None else None


def _count(case: Case, state: str, age: int) -> Optional[int]:
    """How many runs are in a state by its name, and due since ``age`` seconds; None where it cannot be asked."""
    import datetime

    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age + clock_ahead(case))
    chosen: dict[str, Any] = {"state": {"name": {"any_": [state]}}}
    if age:
        chosen["next_scheduled_start_time"] = {"before_": before.isoformat()}
    answer = case.api.call(case.host, "POST", "flow_runs/count", {"flow_runs": chosen}, timeout=TIMEOUT)
    found = json_of(answer)
    return found if answer.status == 200 and isinstance(found, int) else None


def see_clock(case: Case) -> Optional[Finding]:
    """The clocks of this machine and the server agree, by the Date header of an answer."""
    ahead = clock_ahead(case)
    if abs(ahead) < CLOCK_WARN:
        return ok("agrees with the server's")
    text = f"this machine is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server"
    fix = "turn on time synchronization on both (`timedatectl set-ntp true`)"
    return fail(text, CLOCK_CAUSE, fix) if abs(ahead) >= CLOCK_FAIL else warn(text, CLOCK_CAUSE, fix)


#: From the name to the clock. A look whose needs failed is told as not reached.
LOOKS: tuple[Look[Case], ...] = (
    Look("name", see_name),
    Look("port", see_port, ("name",)),
    Look("TLS", see_tls, ("port",)),
    Look("path", see_path, ("port", "TLS")),
    Look("auth", see_auth, ("path",)),
    Look("version", see_version, ("auth",)),
    Look("CSRF", see_csrf, ("auth",)),
    Look("events in", see_events_in, ("auth",)),
    Look("events out", see_events_out, ("auth",)),
    Look("UI", see_ui, ("path",)),
    Look("service", see_service, ("auth", "CSRF")),
    Look("schedules", see_schedules, ("service",)),
    Look("clock", see_clock, ("path",)),
)
