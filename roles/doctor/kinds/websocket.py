"""The checks of Prefect's WebSockets: task runs and events are sent over them, or silently lost."""

from __future__ import annotations

import re
from typing import Optional

from encamp.shared.record import record
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.findings import Finding, fail, ok
from roles.doctor.kinds.network import Upgrade, websocket
from roles.prefect.kinds.releases import (
    EVENTS_HEADER_SINCE,
    EVENTS_LOGIN_SINCE,
    NEWEST,
    TASK_RUNS,
    mismatch,
    older,
    version_key,
)

#: Since this release clients send task runs as events; servers before have no such WebSockets to need.
EVENTS_SINCE = (3, 0)
REDIRECTS = (301, 302, 303, 307, 308)
PROXY_FIX = (
    "configure the proxy to forward WebSockets below /api (nginx: proxy_http_version 1.1 and the headers Upgrade and "
    "Connection), or connect to the server's port directly"
)


#: What decides between server and proxy.
LOOK = "`fab -H SERVER doctor` opens it at the server itself"


@record
class Opening:
    """How a client of a release opens a WebSocket. ``login``: with a first message that holds its password; ``header``:
    with the password in the request, too, where a proxy looks for it."""

    path: str
    loss: str
    login: bool = True
    header: bool = False


def check_events_in(target: ApiTarget) -> Optional[Finding]:
    """/events/in opens: task runs arrive."""
    version = target.version or target.server_version or NEWEST
    loss = "flow runs arrive, task runs and events do not"
    login, header = not older(version, EVENTS_LOGIN_SINCE), not older(version, EVENTS_HEADER_SINCE)
    return _see(target, Opening("events/in", loss, login, header))


def check_events_out(target: ApiTarget) -> Optional[Finding]:
    """/events/out opens: clients and the UI hear of events."""
    return _see(target, Opening("events/out", "clients that wait for events receive none"))


def _see(target: ApiTarget, opening: Opening) -> Optional[Finding]:
    releases = [version for version in (target.version, target.server_version) if version]
    if any(version_key(version) < EVENTS_SINCE for version in releases):
        return None
    token = target.auth.reveal() if target.auth is not None and target.can_authenticate else None
    headers = target.api.headers() if opening.header else {}
    try:
        answer = websocket(f"{target.url.rstrip('/')}/{opening.path}", headers, token, target.ca_file, opening.login)
    except OSError as error:
        seen = f"/{opening.path}: {error or 'no answer'}"
        return _by_release(target, seen) or fail(
            seen,
            f"a proxy in between closes WebSockets, or the server ended as this one opened: {opening.loss}",
            PROXY_FIX,
        )
    return _judge(target, answer, opening)


def _by_release(target: ApiTarget, seen: str) -> Optional[Finding]:
    """What is seen where the releases of client and server cannot share this WebSocket; None where they can."""
    found = mismatch(target.version, target.server_version, TASK_RUNS, auth=target.auth is not None)
    return fail(seen, str(found), found.remedy) if found and target.version and target.server_version else None


def _judge(target: ApiTarget, answer: Upgrade, opening: Opening) -> Finding:
    path, loss = opening.path, opening.loss
    if answer.status != 101:
        return _not_opened(target, answer.status, opening)
    if answer.close_code:
        reason = f" ({answer.said})" if answer.said else ""
        seen = f"/{path} opens and is closed immediately, code {answer.close_code}{reason}"
        return _by_release(target, seen) or fail(
            seen,
            f"most likely the server does not accept this client's user and password there: {loss}",
            "check that PREFECT_API_AUTH_STRING matches the server's",
        )
    let_in = re.search(r"auth_success", answer.said)
    return ok("opens, and accepts this client" if let_in else "opens")


def _not_opened(target: ApiTarget, status: int, opening: Opening) -> Finding:
    """An answer in plain HTTP: the server's, or that of a proxy before it."""
    seen = f"/{opening.path} returned HTTP {status} instead of opening a WebSocket"
    explained = _by_release(target, seen)
    if explained:
        return explained
    if status in REDIRECTS:
        cause = f"a proxy redirects to another address: {opening.loss}"
        return fail(seen, cause, "use the address that it redirects to (https://) in public_url and PREFECT_API_URL")
    if status == 401:
        sent = "does not accept the password in it" if opening.header else "clients send no password in it"
        cause = f"a proxy in between wants a password in the request for this WebSocket; {sent}: {opening.loss}"
        return fail(seen, cause, "use the server's own password (auth: auto) in place of the proxy's")
    if status == 403:
        return fail(seen, f"the server or a proxy refuses this client: {opening.loss}", "see the check `auth`")
    return fail(
        seen, f"a proxy in between, most likely, does not forward WebSockets: {opening.loss}", f"{LOOK}; {PROXY_FIX}"
    )
